/**
 * Exact match and F1 as SQuAD scores answers (Rajpurkar et al. 2016; the official evaluate-v2.0.py): both texts are
 * lower-cased, ASCII punctuation is taken out, then the articles a, an and the, then white space is made single blanks.
 */

/** Python's string.punctuation. */
const PUNCTUATION = /[!-/:-@[-`{-~]/g;
/** Python's \b lies between letters, digits or _ of any script and the rest; JavaScript's knows ASCII alone. */
const ARTICLE = /(?<![\p{L}\p{N}_])(?:a|an|the)(?![\p{L}\p{N}_])/gu;

/** A text in the form in which answers are compared. */
export function normalizeAnswer(text: string): string {
  return text.toLowerCase().replace(PUNCTUATION, "").replace(ARTICLE, " ").trim().replace(/\s+/g, " ");
}

function wordsOf(text: string): string[] {
  const normal = normalizeAnswer(text);
  return normal === "" ? [] : normal.split(" ");
}

/** Harmonic mean of precision and recall over the words that both have, counted as often as both have them. */
function wordF1(answer: string, reference: string): number {
  const [found, expected] = [wordsOf(answer), wordsOf(reference)];
  // As evaluate-v2.0.py: without a word on one side, they agree only if the other has none either.
  if (found.length === 0 || expected.length === 0) return found.length === expected.length ? 1 : 0;
  const left = new Map<string, number>();
  for (const word of expected) left.set(word, (left.get(word) ?? 0) + 1);
  let shared = 0;
  for (const word of found) {
    const count = left.get(word) ?? 0;
    if (count === 0) continue;
    left.set(word, count - 1);
    shared++;
  }
  if (shared === 0) return 0;
  const [precision, recall] = [shared / found.length, shared / expected.length];
  return (2 * precision * recall) / (precision + recall);
}

/** Scores of one answer, each the best over the references. */
export function scoreAnswer(answer: string, references: readonly string[]): { readonly exactMatch: 0 | 1; readonly f1: number } {
  const normal = normalizeAnswer(answer);
  return {
    exactMatch: references.some((reference) => normalizeAnswer(reference) === normal) ? 1 : 0,
    f1: Math.max(...references.map((reference) => wordF1(answer, reference))),
  };
}
