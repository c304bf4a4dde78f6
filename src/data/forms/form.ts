import { HeirloomError } from "../../core/index.ts";
import { describeValue } from "../../formats/index.ts";
import type { DataRecord } from "../record.ts";

/** A row as a reader gives it. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** The forms of row that are read; one file of this folder each. */
export type RowForm = "text" | "prompt-completion" | "alpaca" | "alpaca-prompt" | "sharegpt" | "messages" | "question-answer";

/** What a row of a form holds. */
export interface ParsedForm {
  /** One, or several where a row nests instances. */
  readonly records: readonly DataRecord[];
  /** Fields that play no part. */
  readonly unusedFields: readonly string[];
}

/** A form of row: what tells it, and what its fields mean. */
export interface Form {
  readonly name: RowForm;
  /** For the reference and messages: its fields. */
  readonly fields: string;
  /** The fields that tell it, with what they are taken for; null if the row is not of this form. Not for forms that are only asked for. */
  detect(row: JsonObject): string | null;
  /** True if other forms win where both are told. @defaultValue false */
  readonly isWeak?: boolean;
  /** @throws DATA_FORMAT_INVALID with the field */
  parse(row: JsonObject): ParsedForm;
}

/** Ends the reading of a row: what is wrong, and in which field. */
export function refuse(field: string, message: string, hint?: string): never {
  throw new HeirloomError("DATA_FORMAT_INVALID", message, { details: { field }, ...(hint === undefined ? {} : { hint }) });
}

/** Columns of CSV and Parquet files that a row has nothing in. */
export function isAbsent(value: unknown): boolean {
  return value === undefined || value === null;
}

/** Whether a row has all of these fields. */
export function hasFields(row: JsonObject, fields: readonly string[]): boolean {
  return fields.every((field) => !isAbsent(row[field]));
}

/** Half of a surrogate pair, which is no character and has no UTF-8. */
const LONE_SURROGATE = /\p{Surrogate}/u;

/** A field that must be text. */
export function textOf(value: unknown, field: string): string {
  if (typeof value !== "string") return refuse(field, `expected text in "${field}", found ${describeValue(value)}`);
  if (LONE_SURROGATE.test(value)) return refuse(field, `"${field}" holds half of a surrogate pair, which is no character`);
  return value;
}

/** A field that may be missing, which is the same as empty. */
export function optionalText(value: unknown, field: string): string {
  return isAbsent(value) ? "" : textOf(value, field);
}

/** A field that must be a list with something in it. */
export function listOf(value: unknown, field: string): readonly unknown[] {
  if (!Array.isArray(value)) return refuse(field, `expected a list in "${field}", found ${describeValue(value)}`);
  if (value.length === 0) return refuse(field, `"${field}" is empty`);
  return value;
}

/** A field that must be an object. */
export function objectOf(value: unknown, field: string): JsonObject {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return refuse(field, `expected an object as "${field}", found ${describeValue(value)}`);
  return value as JsonObject;
}

/** Whether a value is a list of objects that all have a key, or (as in columns of a table) the JSON text of one. */
export function isListWith(value: unknown, key: string): boolean {
  if (typeof value === "string" && value.startsWith("[")) {
    try {
      return isListWith(JSON.parse(value), key);
    } catch {
      return false;
    }
  }
  return (
    Array.isArray(value) && value.length > 0 && value.every((item: unknown) => typeof item === "object" && item !== null && key in item)
  );
}

/** Fields of a row that are not among those used; absent ones do not count. */
export function unusedOf(row: JsonObject, used: readonly string[]): string[] {
  return Object.keys(row).filter((field) => !used.includes(field) && !isAbsent(row[field]));
}

/** Names under which tools give the weight of a turn: OpenAI and LlamaFactory, Axolotl, and a plain flag. */
export const WEIGHT_FIELDS = ["weight", "loss_weight", "train", "training"];

/**
 * What a turn itself says about being trained. The loss knows whole tokens only, so a weight is 0 or 1, as in OpenAI's files.
 */
export function weightOf(turn: JsonObject, at: string): 0 | 1 | null {
  const given = WEIGHT_FIELDS.filter((field) => !isAbsent(turn[field]));
  const [field, second] = given;
  if (field === undefined) return null;
  if (second !== undefined) return refuse(`${at}.${second}`, `${at} has "${field}" and "${second}": keep one`);
  const value = turn[field];
  if (value === true || value === 1) return 1;
  if (value === false || value === 0) return 0;
  return refuse(
    `${at}.${field}`,
    `expected 0 or 1 in "${at}.${field}", found ${describeValue(value)}: a turn is trained or it is not`,
    "set it to 1 (trained) or 0 (not); to train rows less often instead, put them into a file of their own with a weight: data.train: [{ path: …, weight: 0.5 }]; or leave such rows out: data.onInvalid: drop",
  );
}
