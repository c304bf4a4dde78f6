import type { MicroBatch, Tokenizer } from "../data/index.ts";
import type { CausalModel } from "../engine/index.ts";

/** Sequence lengths are rounded up to a multiple of this, so that few graphs are compiled. */
const LENGTH_STEP = 32;

/** A single sequence as a batch; beyond `ids` it is padding. */
function singleBatch(ids: readonly number[]): MicroBatch {
  const sequence = Math.ceil(ids.length / LENGTH_STEP) * LENGTH_STEP;
  const inputIds = new Int32Array(sequence);
  inputIds.set(ids);
  return {
    batch: 1,
    sequence,
    inputIds,
    labels: new Int32Array(sequence).fill(-100),
    positions: Int32Array.from({ length: sequence }, (_, i) => i),
    segments: Int32Array.from({ length: sequence }, (_, i) => (i < ids.length ? 1 : 0)),
    tokenCount: ids.length,
    labelTokenCount: 0,
    examples: [],
  };
}

/** What a completion came to. */
export interface GreedyOutcome {
  readonly ids: readonly number[];
  readonly stop: "end" | "length";
}

/**
 * Completes a sequence of token ids with the most likely token each time.
 *
 * @param endIds ids that end the text; the one that ended it is not returned.
 * @param stopRequested asked before each token
 */
export async function completeGreedily(
  model: CausalModel,
  promptIds: readonly number[],
  limits: { readonly maxTokens: number; readonly endIds: readonly number[]; readonly stopRequested?: () => boolean },
): Promise<GreedyOutcome> {
  const ids = [...promptIds];
  const made: number[] = [];
  while (made.length < limits.maxTokens && ids.length < model.spec.maxPositions && limits.stopRequested?.() !== true) {
    const logits = await model.logitsAt(singleBatch(ids), Int32Array.of(ids.length - 1));
    let best = 0;
    for (let id = 1; id < logits.length; id++) if ((logits[id] as number) > (logits[best] as number)) best = id;
    if (limits.endIds.includes(best)) return { ids: made, stop: "end" };
    ids.push(best);
    made.push(best);
  }
  return { ids: made, stop: "length" };
}

/** The ids that end a text: the tokenizer's end token and those of the model's config. */
export function endTokens(model: CausalModel, tokenizer: Tokenizer): number[] {
  return [...new Set([...(tokenizer.eosId === null ? [] : [tokenizer.eosId]), ...model.spec.eosTokenIds])];
}

/** Completes a text; the prompt is encoded with what the tokenizer puts before a text. */
export async function completeText(model: CausalModel, tokenizer: Tokenizer, prompt: string, maxTokens: number): Promise<string> {
  const { ids } = await completeGreedily(model, promptIds(tokenizer, prompt), { maxTokens, endIds: endTokens(model, tokenizer) });
  return tokenizer.decode(ids);
}

/** A prompt's ids, without an end token that a post-processor may add. */
export function promptIds(tokenizer: Tokenizer, prompt: string): number[] {
  const ids = tokenizer.encode(prompt);
  while (ids.length > 1 && ids.at(-1) === tokenizer.eosId) ids.pop();
  return ids;
}
