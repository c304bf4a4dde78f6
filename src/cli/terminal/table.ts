import { escapeName } from "./escape.ts";
import type { Paint } from "./paint.ts";

/** A column: its heading, and whether it holds numbers (set to the right). */
export interface Column {
  readonly title: string;
  readonly align?: "left" | "right";
}

/** A cell is plain text (escaped here), or text with an effect put on it after it was measured. */
export type Cell = string | { readonly text: string; readonly effect: keyof Paint };

// Wide forms of East Asian scripts and emoji take two places; marks take none.
const WIDE =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1f64f}\u{1f900}-\u{1f9ff}\u{20000}-\u{3fffd}]/u;
const MARK = /\p{M}/u;

/** Places that a text takes on a terminal. */
export function displayWidth(text: string): number {
  let width = 0;
  for (const character of text) width += MARK.test(character) ? 0 : WIDE.test(character) ? 2 : 1;
  return width;
}

function pad(text: string, width: number, align: Column["align"]): string {
  const gap = " ".repeat(Math.max(0, width - displayWidth(text)));
  return align === "right" ? gap + text : text + gap;
}

/** A table for people; every cell is escaped, lines do not end in spaces. */
export function renderTable(columns: readonly Column[], rows: readonly (readonly Cell[])[], paint: Paint): string {
  const plain = rows.map((row) => row.map((cell) => escapeName(typeof cell === "string" ? cell : cell.text)));
  const widths = columns.map(({ title }, index) =>
    plain.reduce((widest, row) => Math.max(widest, displayWidth(row[index] ?? "")), displayWidth(title)),
  );
  const line = (texts: readonly string[], effect: (text: string, index: number) => string): string =>
    columns
      .map(({ align }, index) => {
        const isLast = index === columns.length - 1 && align !== "right";
        const text = texts[index] ?? "";
        return effect(isLast ? text : pad(text, widths[index] ?? 0, align), index);
      })
      .join("  ")
      .trimEnd();
  const heading = line(
    columns.map(({ title }) => title),
    (text) => paint.dim(text),
  );
  const body = rows.map((row, at) =>
    line(plain[at] ?? [], (text, index) => {
      const cell = row[index];
      return cell === undefined || typeof cell === "string" ? text : paint[cell.effect](text);
    }),
  );
  return [heading, ...body].join("\n");
}

/** Pairs of a label and a value, the values in one column. */
export function renderFacts(facts: readonly (readonly [label: string, value: string])[], paint: Paint): string {
  const width = facts.reduce((widest, [label]) => Math.max(widest, displayWidth(label)), 0);
  return facts.map(([label, value]) => `${paint.dim(pad(label, width, "left"))}  ${escapeName(value)}`).join("\n");
}
