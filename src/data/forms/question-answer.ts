import type { ChatMessage } from "../chat-template.ts";
import { plainChat } from "../record.ts";
import { type Form, hasFields, type JsonObject, optionalText, textOf, unusedOf } from "./form.ts";

/** Pairs of names that data sets have for what a user asks and what is answered. */
const PAIRS: readonly (readonly [string, string])[] = [
  ["question", "answer"],
  ["question", "response"],
  ["query", "response"],
  ["query", "answer"],
  ["prompt", "response"],
  ["prompt", "answer"],
  ["input", "output"],
  ["problem", "solution"],
];
const SYSTEM_FIELDS = ["system", "system_prompt"];

function pairOf(row: JsonObject): readonly [string, string] | undefined {
  return PAIRS.find((pair) => hasFields(row, pair));
}

/** A question and its answer under their usual names: a chat of two turns. */
export const questionAnswer: Form = {
  name: "question-answer",
  fields: "{question, answer}",
  isWeak: true,
  detect(row) {
    const pair = pairOf(row);
    if (pair === undefined || hasFields(row, ["instruction"])) return null;
    return `"${pair[0]}" is taken for a user's turn and "${pair[1]}" for the assistant's (plain text instead: --columns prompt=${pair[0]},completion=${pair[1]})`;
  },
  parse(row) {
    const [question, answer] = pairOf(row) ?? (["question", "answer"] as const);
    const systemField = SYSTEM_FIELDS.find((field) => hasFields(row, [field])) ?? "system";
    const system = optionalText(row[systemField], systemField);
    const turns: ChatMessage[] = [
      ...(system === "" ? [] : [{ role: "system", content: system }]),
      { role: "user", content: textOf(row[question], question) },
      { role: "assistant", content: textOf(row[answer], answer) },
    ];
    return { records: [plainChat(turns)], unusedFields: unusedOf(row, [question, answer, systemField]) };
  },
};
