// forms: what the fields of a row mean; one file per form, and one line in FORMS. Each turns a row into records of one internal
// type. Must not know files, tokenizers or how a record is rendered.
import { HeirloomError, isHeirloomError } from "../../core/index.ts";
import { describeValue } from "../../formats/index.ts";
import type { DataRecord } from "../record.ts";
import { alpaca } from "./alpaca.ts";
import { alpacaPrompt } from "./alpaca-prompt.ts";
import { type Form, hasFields, isAbsent, type JsonObject, type RowForm } from "./form.ts";
import { messages } from "./messages.ts";
import { promptCompletion } from "./prompt-completion.ts";
import { questionAnswer } from "./question-answer.ts";
import { sharegpt } from "./sharegpt.ts";
import { text } from "./text.ts";

export type { RowForm } from "./form.ts";

const FORMS: Readonly<Record<RowForm, Form>> = {
  text,
  "prompt-completion": promptCompletion,
  alpaca,
  "alpaca-prompt": alpacaPrompt,
  sharegpt,
  messages,
  "question-answer": questionAnswer,
};

/** Forms that supervised training cannot learn from, told by fields of theirs. */
const REFUSED: readonly { readonly name: string; readonly fields: readonly string[] }[] = [
  { name: "preference pairs (chosen, rejected)", fields: ["chosen", "rejected"] },
  { name: "stepwise supervision (prompt, completions, labels)", fields: ["completions", "labels"] },
  { name: "token ids (input_ids)", fields: ["input_ids"] },
];

/** Fields that change what a row means: leaving them out in silence would train something else. */
const MEANINGFUL_FIELDS = [
  ...["tools", "functions", "system", "history", "documents", "weight", "loss_weight"],
  ...["images", "image", "videos", "video", "audios", "audio"],
];

const isEmpty = (value: unknown): boolean => isAbsent(value) || value === "" || (Array.isArray(value) && value.length === 0);

/** What the rows of a file are, and why. */
export interface DetectedForm {
  readonly form: RowForm;
  /** The fields that tell it, in words. */
  readonly evidence: string;
}

/** What a row holds, or why nothing. */
export type ParsedRow =
  | { readonly records: readonly DataRecord[]; readonly unusedFields: readonly string[] }
  | { readonly fault: string; readonly field: string | null; readonly hint?: string };

const KNOWN = "{text}, {prompt, completion}, {messages}, {conversations} or {instruction, output}";

function keysOf(row: JsonObject): string {
  const keys = Object.keys(row);
  return keys.length === 0 ? "none" : describeValue(keys.join(", "));
}

/** The form of a row by its fields. @throws DATA_FORMAT_INVALID if it is of none, of several, or of one that is not for this kind of training */
export function detectForm(value: unknown): DetectedForm {
  const refuse = (message: string, hint?: string): never => {
    throw new HeirloomError("DATA_FORMAT_INVALID", message, hint === undefined ? {} : { hint });
  };
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return refuse(`expected an object, found ${describeValue(value)}`);
  const row = value as JsonObject;
  const refused = REFUSED.find(({ fields }) => hasFields(row, fields));
  if (refused !== undefined) return refuse(`the row is of the form ${refused.name}, which supervised training cannot learn from`);
  const found = Object.values(FORMS).flatMap((form) => {
    const evidence = form.detect(row);
    return evidence === null ? [] : [{ form: form.name, evidence, isWeak: form.isWeak === true }];
  });
  const strong = found.filter(({ isWeak }) => !isWeak);
  const [first, second] = strong.length > 0 ? strong : found;
  if (second !== undefined)
    return refuse(
      `the row has the fields of several forms (${strong.map(({ form }) => form).join(" and ")}): keep one, or say which with --format`,
      `say which is meant: --format ${strong.map(({ form }) => form).join(" or --format ")} (data.format)`,
    );
  if (first === undefined)
    return refuse(
      `expected the fields of ${KNOWN}, found ${keysOf(row)}`,
      "name what the fields are: --columns prompt=FIELD,completion=FIELD or --columns question=FIELD,answer=FIELD (data.columns)",
    );
  return { form: first.form, evidence: first.evidence };
}

/** The form that a row looks like; null if it is of none, or of several. */
export function likelyForm(value: unknown): RowForm | null {
  try {
    return detectForm(value).form;
  } catch (error) {
    if (!isHeirloomError(error)) throw error;
    return null;
  }
}

/** Reads a row as one of a form. A row that cannot be read rightly is a fault, never a guess. */
export function parseRow(value: unknown, form: RowForm): ParsedRow {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return { fault: `expected an object, found ${describeValue(value)}`, field: null };
  const row = value as JsonObject;
  try {
    const parsed = FORMS[form].parse(row);
    const lost = parsed.unusedFields.find((field) => MEANINGFUL_FIELDS.includes(field) && !isEmpty(row[field]));
    if (lost === undefined) return parsed;
    return { fault: `"${lost}" has no place in a row of the form ${form}, and the row means something else without it`, field: lost };
  } catch (error) {
    if (!isHeirloomError(error) || error.code !== "DATA_FORMAT_INVALID") throw error;
    const { field } = error.details;
    const { message, hint } = error.problems[0];
    return { fault: message, field: typeof field === "string" ? field : null, ...(hint === undefined ? {} : { hint }) };
  }
}
