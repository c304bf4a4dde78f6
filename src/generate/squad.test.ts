import { describe, expect, test } from "vitest";
import { normalizeAnswer } from "./normalize-answer.ts";
import { scoreAnswer } from "./squad.ts";

/** What transformers 5.18's squad_metrics (the official script's functions) give: answer, reference, normalized answer, exact match, F1. */
const CASES = [
  ["The cat sat.", "cat sat", "cat sat", 1, 1],
  ["a cat", "the dog", "cat", 0, 0],
  ["An apple, a day!", "apple day", "apple day", 1, 1],
  ["THE  END", "end", "end", 1, 1],
  ["", "", "", 1, 1],
  ["the", "", "", 1, 1],
  ["x", "", "x", 0, 0],
  ["New York City", "York", "new york city", 0, 0.5],
  ["the the cat", "cat cat", "cat", 0, 0.6666666666666666],
  ["anthem theory", "anthem theory", "anthem theory", 1, 1],
  ["éa à the thé", "éa à thé", "éa à thé", 1, 1],
  ["1,000", "1000", "1000", 1, 1],
  ["well-known fact", "well known fact", "wellknown fact", 0, 0.4],
  ["ÄRGER", "ärger", "ärger", 1, 1],
  ["don't", "dont", "dont", 1, 1],
  ["“quoted”", "quoted", "“quoted”", 0, 0],
  ["a_the_b", "a_the_b", "atheb", 1, 1],
  ["in 1066 at Hastings", "in 1066", "in 1066 at hastings", 0, 0.6666666666666666],
  ["red red blue", "red blue blue", "red red blue", 0, 0.6666666666666666],
] as const;

describe("answers", () => {
  test.each(CASES)("are normalized and scored as SQuAD's script does: %j for %j", (answer, reference, normal, exactMatch, f1) => {
    expect(normalizeAnswer(answer)).toBe(normal);
    const score = scoreAnswer(answer, [reference]);
    expect(score.exactMatch).toBe(exactMatch);
    // The same divisions in another order: a unit of the last place.
    expect(score.f1).toBeCloseTo(f1, 14);
  });

  test("count the best of several references", () => {
    expect(scoreAnswer("York", ["Leeds", "the city of York", "york"])).toEqual({ exactMatch: 1, f1: 1 });
    expect(scoreAnswer("York", ["Leeds", "city of York"])).toEqual({ exactMatch: 0, f1: 0.5 });
  });
});
