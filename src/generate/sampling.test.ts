import { describe, expect, test } from "vitest";
import { RandomStream } from "../core/index.ts";
import type { SamplingOptions } from "./api.ts";
import { logSumExp } from "./log-sum-exp.ts";
import { likeliestIds } from "./logprobs.ts";
import { Sampler } from "./sampling.ts";
import { kthLargest, smallestOfShare } from "./selection.ts";

const LOGITS = Float32Array.of(1, 3, -2, 2.5, 0, 2.9);

/** How often each id is drawn of `LOGITS`, in `times` independent first draws. */
function frequencies(options: Partial<SamplingOptions>, times = 400, prompt: readonly number[] = [], logits = LOGITS): number[] {
  const counts = new Array<number>(logits.length).fill(0);
  for (let seed = 0; seed < times; seed++) {
    const id = new Sampler({ temperature: 1, ...options, seed }, prompt).choose(logits);
    counts[id] = (counts[id] as number) + 1;
  }
  return counts.map((count) => count / times);
}

const kept = (shares: readonly number[]): number[] => shares.flatMap((share, id) => (share > 0 ? [id] : []));

function softmax(logits: ArrayLike<number>, temperature = 1): number[] {
  const weights = Array.from(logits, (x) => Math.exp(x / temperature));
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((x) => x / sum);
}

describe("sampling", () => {
  test("at temperature 0 takes the largest logit, the first of equal ones", () => {
    expect(new Sampler({ temperature: 0 }, []).choose(LOGITS)).toBe(1);
    expect(new Sampler({ temperature: 0 }, []).choose(Float32Array.of(0, 2, 2))).toBe(1);
  });

  test.each([0.5, 1, 2])("draws in proportion to the softmax at temperature %d", (temperature) => {
    // Three deviations of 2000 draws: 3·√(p(1−p)/2000) ≤ 0.034.
    const expected = softmax(LOGITS, temperature);
    frequencies({ temperature }, 2000).forEach((share, id) => {
      expect(Math.abs(share - (expected[id] as number))).toBeLessThan(0.034);
    });
  });

  test.each<[Partial<SamplingOptions>, number[]]>([
    [{ topK: 1 }, [1]],
    [{ topK: 3 }, [1, 3, 5]],
    // Shares: 1 0.37, 5 0.34, 3 0.23, 0 0.05.
    [{ topP: 0.3 }, [1]],
    [{ topP: 0.6 }, [1, 5]],
    [{ topP: 0.75 }, [1, 3, 5]],
    // e^(2.5−3) = 0.61 of the likeliest.
    [{ minP: 0.65 }, [1, 5]],
    [{ minP: 0.6 }, [1, 3, 5]],
    [{ minP: 1 }, [1]],
    // Of the two that top-k leaves, the first has 0.525: top-p is a share of what is left.
    [{ topK: 2, topP: 0.52 }, [1]],
    [{ topK: 2, topP: 0.53 }, [1, 5]],
    // Temperature comes before them: at 10 the shares are nearly even.
    [{ temperature: 10, minP: 0.9 }, [1, 3, 5]],
  ])("%j leaves %j", (options, ids) => {
    expect(kept(frequencies(options))).toEqual(ids);
  });

  test("keeps tokens that are as likely as the last that top-k or top-p lets in", () => {
    const logits = Float32Array.of(2, 1, 1, 0);
    expect(kept(frequencies({ topK: 2 }, 400, [], logits))).toEqual([0, 1, 2]);
  });

  test("penalizes what was there: positive logits are divided, negative ones multiplied, of prompt and answer", () => {
    const choose = (options: Partial<SamplingOptions>, prompt: readonly number[]) =>
      new Sampler({ temperature: 0, ...options }, prompt).choose(LOGITS);
    expect(choose({ repetitionPenalty: 1.1 }, [1])).toBe(5);
    expect(choose({ repetitionPenalty: 1.1 }, [1, 5])).toBe(1); // 3/1.1 is above 2.9/1.1 and 2.5
    expect(choose({ repetitionPenalty: 2 }, [1, 5, 3])).toBe(1);
    const negative = Float32Array.of(-1, -1.5);
    expect(new Sampler({ temperature: 0, repetitionPenalty: 2 }, [0]).choose(negative)).toBe(1);
  });

  test("penalizes presence and frequency in the answer only", () => {
    const chosen = (options: Partial<SamplingOptions>): number[] => {
      const sampler = new Sampler({ temperature: 0, ...options }, [1]);
      return Array.from({ length: 5 }, () => sampler.choose(LOGITS));
    };
    expect(chosen({})).toEqual([1, 1, 1, 1, 1]);
    expect(chosen({ presencePenalty: 0.2 })).toEqual([1, 5, 1, 1, 1]);
    expect(chosen({ frequencyPenalty: 0.2 })).toEqual([1, 5, 1, 5, 1]);
  });

  test("is the same for the same seed, also beyond 32 bits, and another for another", () => {
    const flat = new Float32Array(50);
    const run = (seed: number): string => {
      const sampler = new Sampler({ temperature: 1, seed }, []);
      return Array.from({ length: 12 }, () => sampler.choose(flat)).join();
    };
    expect(run(3)).toBe(run(3));
    expect(new Set([run(3), run(4), run(3 + 2 ** 32), run(3 + 2 ** 33)]).size).toBe(4);
  });

  test("does not change the logits that it is given", () => {
    const logits = LOGITS.slice();
    new Sampler({ temperature: 0.7, topK: 3, topP: 0.8, repetitionPenalty: 1.3, seed: 1 }, [1, 2]).choose(logits);
    expect(logits).toEqual(LOGITS);
  });

  test("refuses options out of range, all at once, and logits that are not numbers", () => {
    const wrong = { temperature: -1, topK: 1.5, topP: 0, minP: 2, repetitionPenalty: 0, presencePenalty: Number.NaN, seed: -1 };
    expect(() => new Sampler(wrong, [])).toThrow(
      expect.objectContaining({ code: "SAMPLING_INVALID", problems: expect.objectContaining({ length: 7 }) }),
    );
    for (const temperature of [0, 1])
      expect(() => new Sampler({ temperature }, []).choose(Float32Array.of(1, Number.NaN))).toThrow(
        expect.objectContaining({ code: "LOSS_NOT_FINITE" }),
      );
  });
});

describe("selection in linear time", () => {
  const random = new RandomStream(2, "selection");
  const lists = Array.from({ length: 60 }, (_, i) =>
    Float64Array.from({ length: 1 + random.nextInt(40) }, () => (i % 2 === 0 ? random.nextInt(6) : random.nextFloat())),
  );

  test("finds what sorting finds", () => {
    for (const list of lists) {
      const sorted = list.toSorted().reverse();
      for (let k = 1; k <= list.length; k++) expect(kthLargest(list, k, new Float64Array(list.length))).toBe(sorted[k - 1]);
    }
  });

  test("finds the smallest weight of the largest ones that reach a share", () => {
    for (const list of lists) {
      const total = list.reduce((a, b) => a + b, 0);
      if (total === 0) continue;
      for (const share of [0.1, 0.5, 0.9]) {
        let sum = 0;
        const expected = list
          .toSorted()
          .reverse()
          .find((weight) => {
            sum += weight;
            return sum >= share * total - 1e-12;
          });
        expect(smallestOfShare(list, share * total - 1e-12, new Float64Array(list.length))).toBe(expected);
      }
    }
  });
});

describe("log-probabilities", () => {
  test("are those of the softmax, and the likeliest come first", () => {
    const expected = softmax(LOGITS);
    LOGITS.forEach((logit, id) => {
      expect(Math.exp(logit - logSumExp(LOGITS))).toBeCloseTo(expected[id] as number, 12);
    });
    expect(likeliestIds(LOGITS, 3)).toEqual([1, 5, 3]);
    expect(likeliestIds(LOGITS, 0)).toEqual([]);
    expect(likeliestIds(LOGITS, 20)).toEqual([1, 5, 3, 0, 4, 2]);
    expect(likeliestIds(Float32Array.of(1, 1, 1), 2)).toEqual([0, 1]);
  });
});
