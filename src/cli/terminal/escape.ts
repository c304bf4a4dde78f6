import { escapeUnprintable } from "../../core/index.ts";

/** A name as it may be printed: on one line, with nothing that could move the cursor, colour, hide or reorder text. */
export function escapeName(text: string): string {
  return escapeUnprintable(text);
}

/** {@link escapeName} for text of several lines: line ends and tabs stay. */
export function escapeText(text: string): string {
  return escapeUnprintable(text, "\n\t");
}
