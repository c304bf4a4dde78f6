import { normalizeAnswer } from "./normalize-answer.ts";

// Exact match and F1 as SQuAD scores answers (Rajpurkar et al. 2016; the official evaluate-v2.0.py).

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
