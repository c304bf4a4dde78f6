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

/** Columns of text are not made narrower than this: a word for each line says nothing. */
const MIN_WIDTH = 12;
const GAP = 2;

/** Takes from the widest column of text until the line fits; numbers are never broken. */
function fitted(columns: readonly Column[], natural: readonly number[], limit: number): number[] {
  const widths = [...natural];
  let excess = widths.reduce((sum, width) => sum + width + GAP, -GAP) - limit;
  while (excess > 0) {
    let widest = -1;
    columns.forEach(({ title, align }, at) => {
      const width = widths[at] ?? 0;
      const isFlexible = align !== "right" && width > Math.max(MIN_WIDTH, displayWidth(title));
      if (isFlexible && (widest < 0 || width > (widths[widest] ?? 0))) widest = at;
    });
    if (widest < 0) break;
    widths[widest] = (widths[widest] ?? 0) - 1;
    excess--;
  }
  return widths;
}

/** Where a word that is too long is broken: after a point, a slash or the like, else where the line ends. */
function brokenWord(word: string, width: number): string[] {
  const parts: string[] = [];
  let rest = word;
  while (displayWidth(rest) > width) {
    let cut = "";
    for (const character of rest) {
      if (displayWidth(cut + character) > width) break;
      cut += character;
    }
    // A character that is wider than the column still has to go somewhere.
    if (cut === "") cut = Array.from(rest)[0] ?? "";
    const nice = /^.*[./_-](?=[^./_-])/.exec(cut)?.[0] ?? "";
    const part = nice.length * 2 > cut.length ? nice : cut;
    parts.push(part);
    rest = rest.slice(part.length);
  }
  return [...parts, rest];
}

/** Breaks a text into lines of a width, between words where it can; nothing of it is lost. */
export function wrapText(text: string, width: number): string[] {
  if (displayWidth(text) <= width) return [text];
  const lines: string[] = [];
  let line: string | null = null;
  for (const word of text.split(" ").flatMap((part) => brokenWord(part, width))) {
    if (line === null) line = word;
    else if (displayWidth(line) + 1 + displayWidth(word) <= width) line += ` ${word}`;
    else {
      lines.push(line);
      line = word;
    }
  }
  return [...lines, line ?? ""];
}

/**
 * A table for people; every cell is escaped, lines do not end in spaces.
 * @param limit width to keep to: cells of text go on in further lines. `null` for a file or a pipe, where each row is one line
 */
export function renderTable(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  paint: Paint,
  limit: number | null = null,
): string {
  const plain = rows.map((row) => row.map((cell) => escapeName(typeof cell === "string" ? cell : cell.text)));
  const natural = columns.map(({ title }, index) =>
    plain.reduce((widest, row) => Math.max(widest, displayWidth(row[index] ?? "")), displayWidth(title)),
  );
  const widths = limit === null ? natural : fitted(columns, natural, limit);
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
  const body = rows.flatMap((row, at) => {
    const cells = (plain[at] ?? []).map((text, index) => wrapText(text, Math.max(1, widths[index] ?? 1)));
    const height = cells.reduce((most, { length }) => Math.max(most, length), 1);
    return Array.from({ length: height }, (_, level) =>
      line(
        cells.map((lines) => lines[level] ?? ""),
        (text, index) => {
          const cell = row[index];
          return cell === undefined || typeof cell === "string" ? text : paint[cell.effect](text);
        },
      ),
    );
  });
  return [heading, ...body].join("\n");
}

/** Pairs of a label and a value, the values in one column; with a `limit` long ones go on in further lines. */
export function renderFacts(
  facts: readonly (readonly [label: string, value: string])[],
  paint: Paint,
  limit: number | null = null,
): string {
  const width = facts.reduce((widest, [label]) => Math.max(widest, displayWidth(label)), 0);
  const room = limit === null ? Infinity : Math.max(MIN_WIDTH, limit - width - GAP);
  return facts
    .map(([label, value]) => {
      const lines = wrapText(escapeName(value), room);
      return `${paint.dim(pad(label, width, "left"))}  ${lines.join(`\n${" ".repeat(width + GAP)}`)}`;
    })
    .join("\n");
}
