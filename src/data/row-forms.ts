import { describeValue } from "../formats/index.ts";
import type { ChatMessage } from "./chat-template.ts";
import { isObject } from "./tokenizer-repairs.ts";

/** A row of a data file, in one of the forms that are read. */
export type Row =
  | { readonly form: "text"; readonly text: string }
  | { readonly form: "prompt-completion"; readonly prompt: string; readonly completion: string }
  | { readonly form: "messages"; readonly messages: readonly ChatMessage[] };

/** The forms of row that are read. */
export type RowForm = Row["form"];
type JsonObject = Readonly<Record<string, unknown>>;

/** A row, or why it is none, and the fields of it that play no part. */
export type ParsedRow = { readonly row: Row; readonly unusedFields: readonly string[] } | { readonly fault: string };

const FIELDS: Readonly<Record<RowForm, readonly string[]>> = {
  text: ["text"],
  "prompt-completion": ["prompt", "completion"],
  messages: ["messages"],
};

/** Forms that people have and that are not read yet, told by fields of theirs. */
const OTHER_FORMS: readonly { readonly name: string; readonly fields: readonly string[] }[] = [
  { name: "Alpaca (instruction, input, output)", fields: ["instruction", "output"] },
  { name: "ShareGPT (conversations)", fields: ["conversations"] },
  { name: "preference pairs (chosen, rejected)", fields: ["chosen", "rejected"] },
  { name: "question and answer", fields: ["question", "answer"] },
];

/** Fields that change what a row means: leaving them out in silence would train something else. */
const MEANINGFUL_FIELDS = ["tools", "functions", "system", "history", "images", "documents", "weight", "loss_weight"];
const MEANINGFUL_MESSAGE_FIELDS = ["tool_calls", "function_call", "weight", "loss_weight", "train"];

const READ_FORMS = "{prompt, completion}, {text} or {messages}";
/** Half of a surrogate pair, which is no character and has no UTF-8. */
const LONE_SURROGATE = /\p{Surrogate}/u;

function textFault(value: unknown, field: string): string | undefined {
  if (typeof value !== "string") return `expected text in "${field}", found ${describeValue(value)}`;
  if (LONE_SURROGATE.test(value)) return `"${field}" holds half of a surrogate pair, which is no character`;
  return undefined;
}

function messageFault(message: unknown, at: string): string | undefined {
  if (!isObject(message)) return `expected an object with role and content as ${at}, found ${describeValue(message)}`;
  if (Array.isArray(message["content"])) return `${at} has typed content parts, which are not read yet: join their text into one string`;
  const meaningful = MEANINGFUL_MESSAGE_FIELDS.find((field) => message[field] !== undefined && message[field] !== null);
  if (meaningful !== undefined) return `${at} has "${meaningful}", which is not read yet`;
  return textFault(message["role"], `${at}.role`) ?? textFault(message["content"], `${at}.content`);
}

function parseMessages(value: unknown): readonly ChatMessage[] | string {
  if (!Array.isArray(value)) return `expected a list in "messages", found ${describeValue(value)}`;
  if (value.length === 0) return '"messages" is empty';
  for (const [i, message] of value.entries()) {
    const fault = messageFault(message, `messages[${i}]`);
    if (fault !== undefined) return fault;
  }
  return value as ChatMessage[];
}

function formOf(value: JsonObject): RowForm | { readonly fault: string } {
  const complete = (Object.keys(FIELDS) as RowForm[]).filter((form) => FIELDS[form].every((field) => value[field] !== undefined));
  const [form, second] = complete;
  if (form !== undefined && second === undefined) return form;
  const keys = Object.keys(value);
  if (second !== undefined) return { fault: `the row has the fields of two forms (${complete.join(" and ")}): keep one` };
  const other = OTHER_FORMS.find((candidate) => candidate.fields.every((field) => keys.includes(field)));
  if (other !== undefined) return { fault: `the form ${other.name} is not read yet: convert the rows to ${READ_FORMS}` };
  return { fault: `expected the fields of ${READ_FORMS}, found ${keys.length === 0 ? "none" : describeValue(keys.join(", "))}` };
}

function build(form: RowForm, value: JsonObject): Row | string {
  switch (form) {
    case "text":
      return textFault(value["text"], "text") ?? { form, text: String(value["text"]) };
    case "prompt-completion": {
      const { prompt, completion } = value;
      if (Array.isArray(prompt) || Array.isArray(completion)) return "prompt and completion as messages are not read yet: use {messages}";
      return (
        textFault(prompt, "prompt") ??
        textFault(completion, "completion") ?? { form, prompt: String(prompt), completion: String(completion) }
      );
    }
    case "messages": {
      const messages = parseMessages(value["messages"]);
      return typeof messages === "string" ? messages : { form, messages };
    }
  }
}

/**
 * Reads one row. A row that cannot be read rightly is a fault, never a guess: unknown fields are named as unused,
 * fields that would change the meaning are refused.
 */
export function parseRow(value: unknown): ParsedRow {
  if (!isObject(value)) return { fault: `expected an object, found ${describeValue(value)}` };
  const form = formOf(value);
  if (typeof form !== "string") return form;
  const unusedFields = Object.keys(value).filter((field) => !FIELDS[form].includes(field));
  const meaningful = unusedFields.find((field) => MEANINGFUL_FIELDS.includes(field) && value[field] !== null);
  if (meaningful !== undefined) return { fault: `the field "${meaningful}" is not read yet, and the row means something else without it` };
  const row = build(form, value);
  return typeof row === "string" ? { fault: row } : { row, unusedFields };
}
