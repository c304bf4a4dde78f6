import type { DataRecord } from "../record.ts";

/** Characters shown on either side of a border. */
const SHOWN = 16;
/** Scripts that are written without spaces between words. */
const UNSPACED = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u;
const WORD_OR_MARK = /[\p{L}\p{N}\p{P}]$/u;
const WORD = /^[\p{L}\p{N}]/u;

/** The text around the border of prompt and completion, `…market?|Janet sells…`; null for records that have none. */
export function borderText(record: DataRecord): string | null {
  if (record.kind !== "completion") return null;
  const { prompt, completion } = record;
  const before = Array.from(prompt.slice(-2 * SHOWN))
    .slice(-SHOWN)
    .join("");
  const after = Array.from(completion.slice(0, 2 * SHOWN))
    .slice(0, SHOWN)
    .join("");
  return `${before.length < prompt.length ? "…" : ""}${before}|${after}${after.length < completion.length ? "…" : ""}`;
}

/** Whether prompt and completion, which are joined as they stand, run into each other: `market?Janet`. */
export function isWithoutSeparator(record: DataRecord): boolean {
  if (record.kind !== "completion") return false;
  const [last = ""] = Array.from(record.prompt.slice(-2)).slice(-1);
  const [first = ""] = record.completion;
  return WORD_OR_MARK.test(last) && WORD.test(first) && !UNSPACED.test(last) && !UNSPACED.test(first);
}
