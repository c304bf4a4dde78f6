import { escapeUnprintable } from "../core/index.ts";

/** Longest foreign text that a message repeats; the longest tensor name seen in the wild has 112 characters. */
const MAX_PRINTED_CHARACTERS = 160;

/**
 * Text from a file, safe to print: control characters and marks that reorder
 * or hide text become `\u001b`-like escapes, and a long text is cut with `…`.
 * Everything that messages repeat from a file goes through here.
 */
export function printable(text: string, maxCharacters = MAX_PRINTED_CHARACTERS): string {
  return escapeUnprintable(text.length > maxCharacters ? `${text.slice(0, maxCharacters)}…` : text);
}

/** A JSON value as a message shows it: `"none"`, `12`, `an object`. */
export function describeValue(value: unknown): string {
  if (value === null) return "null";
  if (value === undefined) return "nothing";
  if (typeof value === "string") return `"${printable(value, 60)}"`;
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : `a list of ${value.length}`;
  return "an object";
}
