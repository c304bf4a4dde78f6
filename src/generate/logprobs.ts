import type { TokenLogprob } from "./api.ts";
import { logSumExp } from "./log-sum-exp.ts";

/** More are refused, as in OpenAI's API. */
export const MAX_TOP_LOGPROBS = 20;

/** The `count` likeliest ids, likeliest first; of equal ones the first. */
export function likeliestIds(logits: Float32Array, count: number): number[] {
  if (count < 1) return [];
  const ids: number[] = [];
  let least = Number.NEGATIVE_INFINITY;
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id] as number;
    if (ids.length === count && logit <= least) continue;
    let at = ids.length;
    while (at > 0 && (logits[ids[at - 1] as number] as number) < logit) at--;
    ids.splice(at, 0, id);
    if (ids.length > count) ids.pop();
    least = logits[ids.at(-1) as number] as number;
  }
  return ids;
}

/** Log-probabilities of ids under the logits. */
export function tokenLogprobs(logits: Float32Array, ids: readonly number[], textOf: (id: number) => string): TokenLogprob[] {
  const total = logSumExp(logits);
  return ids.map((id) => ({ id, text: textOf(id), logprob: (logits[id] as number) - total }));
}
