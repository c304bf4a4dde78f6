import { HeirloomError } from "../core/index.ts";
import { type MicroBatch, NO_LABEL, type Tokenizer } from "../data/index.ts";
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
    labels: new Int32Array(sequence).fill(NO_LABEL),
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

function requireFit(promptTokens: number, maxPositions: number): void {
  if (promptTokens === 0) {
    throw new HeirloomError("DATA_EMPTY", "expected a prompt of at least one token, found none", {
      where: "prompt",
      hint: "this tokenizer adds no start token, so the prompt cannot be empty",
    });
  }
  if (promptTokens >= maxPositions) {
    throw new HeirloomError(
      "DATA_ROW_TOO_LONG",
      `expected a prompt of fewer than ${maxPositions} tokens, the model's context, found ${promptTokens}`,
      { where: "prompt", hint: "shorten the prompt" },
    );
  }
}

/** The id with the largest logit; the first of equal ones. @throws LOSS_NOT_FINITE */
function likeliest(logits: Float32Array): number {
  let best = 0;
  for (let id = 0; id < logits.length; id++) {
    if (Number.isNaN(logits[id])) throw new HeirloomError("LOSS_NOT_FINITE", `the logit of token ${id} is NaN: the weights are damaged`);
    if ((logits[id] as number) > (logits[best] as number)) best = id;
  }
  return best;
}

/**
 * Completes a sequence of token ids with the most likely token each time.
 *
 * @param endIds ids that end the text; the one that ended it is not returned.
 * @throws DATA_ROW_TOO_LONG if the prompt fills the context, INTERRUPTED if a stop is requested
 */
export async function completeGreedily(
  model: CausalModel,
  promptIds: readonly number[],
  limits: { readonly maxTokens: number; readonly endIds: readonly number[]; readonly stopRequested?: () => boolean },
): Promise<GreedyOutcome> {
  requireFit(promptIds.length, model.spec.maxPositions);
  const ids = [...promptIds];
  const made: number[] = [];
  while (made.length < limits.maxTokens && ids.length < model.spec.maxPositions) {
    if (limits.stopRequested?.() === true) throw new HeirloomError("INTERRUPTED", `stopped after ${made.length} tokens`);
    const best = likeliest(await model.logitsAt(singleBatch(ids), Int32Array.of(ids.length - 1)));
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
