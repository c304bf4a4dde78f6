import { createHash } from "node:crypto";
import type { DataRecord } from "../record.ts";

/** The texts of a record in order, each with who speaks. */
function textsOf(record: DataRecord): readonly (readonly [string, string])[] {
  if (record.kind === "text") return [["text", record.text]];
  if (record.kind === "completion")
    return [
      ["prompt", record.prompt],
      ["completion", record.completion],
    ];
  return record.turns.map(({ message }) => [message.role, `${message.content}${JSON.stringify(message["tool_calls"] ?? "")}`]);
}

/** Text without what people do not read as a difference: case, spaces, punctuation, forms of the same character. */
function normalized(text: string): string {
  return text
    .normalize("NFKC")
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\p{S}]+/gu, " ")
    .trim();
}

/** 96 bits: among ten million rows two different ones meet with a probability below 10⁻¹⁵. */
const key = (value: unknown): string => createHash("sha256").update(JSON.stringify(value)).digest("base64").slice(0, 16);

/** What two records have in common that are the same, nearly the same, or ask the same. */
export interface TextKeys {
  readonly exact: string;
  readonly normalized: string;
  /** Of everything before the last turn or the completion; null for plain text. */
  readonly prompt: string | null;
}

/** The keys of a record. */
export function textKeys(record: DataRecord): TextKeys {
  const texts = textsOf(record);
  const plain = texts.map(([who, text]) => [who, normalized(text)]);
  const before = plain.slice(0, -1).filter(([who]) => who !== "system");
  return { exact: key(texts), normalized: key(plain), prompt: before.length === 0 ? null : key(before) };
}

/** Fields of a record that hold nothing though something is learnt from them or answered to. */
export function emptyFields(record: DataRecord): string[] {
  const isEmpty = (text: string): boolean => text.trim() === "";
  if (record.kind === "text") return isEmpty(record.text) ? ["text"] : [];
  if (record.kind === "completion")
    return [...(isEmpty(record.prompt) ? ["prompt"] : []), ...(isEmpty(record.completion) ? ["completion"] : [])];
  return record.turns.flatMap(({ message }, i) =>
    isEmpty(message.content) && message["tool_calls"] === undefined ? [`turn ${i + 1} (${message.role})`] : [],
  );
}

/** Placeholders that were to be filled in before training: `{{name}}`. */
const PLACEHOLDER = /\{\{\s*[A-Za-z_]\w*\s*\}\}/;

/** The first placeholder in a record; null without any. */
export function placeholderIn(record: DataRecord): string | null {
  for (const [, text] of textsOf(record)) {
    const found = PLACEHOLDER.exec(text);
    if (found !== null) return found[0];
  }
  return null;
}
