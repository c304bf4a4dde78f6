import { HeirloomError, ProblemList, RandomStream } from "../core/index.ts";
import type { SamplingOptions } from "./api.ts";
import { kthLargest, smallestOfShare } from "./selection.ts";

/** What each option may be. */
const RANGES: Readonly<Record<keyof SamplingOptions, { readonly what: string; readonly holds: (value: number) => boolean }>> = {
  temperature: { what: "a number from 0", holds: (value) => value >= 0 && Number.isFinite(value) },
  topK: { what: "a whole number from 0 (0: all)", holds: (value) => Number.isInteger(value) && value >= 0 },
  topP: { what: "a number above 0, at most 1", holds: (value) => value > 0 && value <= 1 },
  minP: { what: "a number from 0 to 1", holds: (value) => value >= 0 && value <= 1 },
  repetitionPenalty: { what: "a number above 0", holds: (value) => value > 0 && Number.isFinite(value) },
  presencePenalty: { what: "a number", holds: Number.isFinite },
  frequencyPenalty: { what: "a number", holds: Number.isFinite },
  seed: { what: "a whole number from 0", holds: (value) => Number.isSafeInteger(value) && value >= 0 },
};

/** The likeliest token each time. */
export const GREEDY: SamplingOptions = Object.freeze({ temperature: 0 });

/**
 * Checks sampling options before anything is computed with them.
 *
 * @throws SAMPLING_INVALID with every option that is out of range
 */
export function checkSampling(options: SamplingOptions): void {
  const problems = new ProblemList();
  for (const [name, { what, holds }] of Object.entries(RANGES)) {
    const value = options[name as keyof SamplingOptions];
    if (value === undefined || holds(value)) continue;
    problems.add("SAMPLING_INVALID", `expected ${what}, found ${value}`, { where: name });
  }
  problems.throwIfAny();
}

/** A seed for requests that name none. */
function freshSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0] as number;
}

function randomStream(seed: number): RandomStream {
  // A stream's seed has 32 bits; the rest of a larger one goes into its name.
  return new RandomStream(seed % 2 ** 32, `sampling ${Math.floor(seed / 2 ** 32)}`);
}

/**
 * Chooses the tokens of one completion. In this order, which is that of transformers' `generate`: repetition penalty (on
 * tokens of prompt and completion), presence and frequency penalty (on tokens of the completion, as in OpenAI's API),
 * temperature, top-k, top-p, min-p. Each of the last three measures what the ones before it have left. At temperature 0 the
 * penalties apply and the largest logit wins, the first of equal ones.
 */
export class Sampler {
  readonly #options: SamplingOptions;
  readonly #random: RandomStream;
  /** Tokens of prompt and completion. */
  readonly #seen: Set<number>;
  /** How often each token is in the completion. */
  readonly #counts = new Map<number, number>();
  #scores = new Float64Array(0);
  #scratch = new Float64Array(0);

  /** @throws SAMPLING_INVALID */
  constructor(options: SamplingOptions, promptIds: Iterable<number>) {
    checkSampling(options);
    this.#options = options;
    this.#random = randomStream(options.seed ?? freshSeed());
    this.#seen = new Set(promptIds);
  }

  /** The next token after the logits [V]. @throws LOSS_NOT_FINITE if one is NaN */
  choose(logits: Float32Array): number {
    const scores = this.#penalized(logits);
    const { temperature } = this.#options;
    const id = temperature === 0 ? likeliest(scores) : this.#draw(scores, temperature);
    this.#seen.add(id);
    this.#counts.set(id, (this.#counts.get(id) ?? 0) + 1);
    return id;
  }

  #penalized(logits: Float32Array): Float32Array | Float64Array {
    const { repetitionPenalty = 1, presencePenalty = 0, frequencyPenalty = 0, temperature } = this.#options;
    const changes = repetitionPenalty !== 1 || presencePenalty !== 0 || frequencyPenalty !== 0;
    if (!changes && temperature === 0) return logits;
    if (this.#scores.length !== logits.length) this.#scores = new Float64Array(logits.length);
    const scores = this.#scores;
    scores.set(logits);
    if (repetitionPenalty !== 1) {
      for (const id of this.#seen) {
        const score = scores[id] as number;
        scores[id] = score < 0 ? score * repetitionPenalty : score / repetitionPenalty;
      }
    }
    if (presencePenalty !== 0 || frequencyPenalty !== 0) {
      for (const [id, count] of this.#counts) scores[id] = (scores[id] as number) - presencePenalty - count * frequencyPenalty;
    }
    return scores;
  }

  /** Turns scores into weights, 0 for what an option leaves out, and draws in proportion to them. */
  #draw(scores: Float32Array | Float64Array, temperature: number): number {
    const best = scores[likeliest(scores)] as number;
    const { topK = 0, topP = 1, minP = 0 } = this.#options;
    if (this.#scratch.length !== scores.length) this.#scratch = new Float64Array(scores.length);
    const leastScore = topK > 0 && topK < scores.length ? kthLargest(scores, topK, this.#scratch) : Number.NEGATIVE_INFINITY;
    const weights = scores;
    let total = 0;
    for (let id = 0; id < scores.length; id++) {
      const score = scores[id] as number;
      const weight = score < leastScore ? 0 : Math.exp((score - best) / temperature);
      weights[id] = weight;
      total += weight;
    }
    // The likeliest has weight 1, so that min-p is a bound on weights.
    const least = Math.max(minP, topP < 1 ? smallestOfShare(weights, topP * total, this.#scratch) : 0);
    if (least > 0) {
      total = 0;
      for (let id = 0; id < weights.length; id++) {
        if ((weights[id] as number) < least) weights[id] = 0;
        else total += weights[id] as number;
      }
    }
    return pick(weights, this.#random.nextFloat() * total);
  }
}

/** The first id at which the running sum of the weights exceeds `target`. */
function pick(weights: ArrayLike<number>, target: number): number {
  let sum = 0;
  let last = 0;
  for (let id = 0; id < weights.length; id++) {
    const weight = weights[id] as number;
    if (weight === 0) continue;
    sum += weight;
    last = id;
    if (sum > target) return id;
  }
  return last; // the sum may round to a little less than it did the first time
}

/** The id with the largest score; the first of equal ones. @throws LOSS_NOT_FINITE */
function likeliest(scores: ArrayLike<number>): number {
  let best = 0;
  for (let id = 0; id < scores.length; id++) {
    const score = scores[id] as number;
    if (Number.isNaN(score)) throw new HeirloomError("LOSS_NOT_FINITE", `the logit of token ${id} is NaN: the weights are damaged`);
    if (score > (scores[best] as number)) best = id;
  }
  return best;
}
