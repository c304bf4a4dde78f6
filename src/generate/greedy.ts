import type { Tokenizer } from "../data/index.ts";
import type { CausalModel } from "../engine/index.ts";
import { endTokens, promptIds, roomFor } from "./prompt.ts";
import { GREEDY } from "./sampling.ts";
import { completeAll } from "./scheduler.ts";

/** What a completion came to. */
export interface GreedyOutcome {
  readonly ids: readonly number[];
  readonly stop: "end" | "length";
}

/**
 * Completes sequences of token ids with the most likely token each time, several at once.
 *
 * @param endIds ids that end the text; the one that ended it is not returned.
 * @throws PROMPT_TOO_LONG if a prompt fills the context, DATA_EMPTY if one is empty, INTERRUPTED if a stop is requested, LOSS_NOT_FINITE
 */
export async function completeGreedily(
  model: CausalModel,
  prompts: readonly (readonly number[])[],
  limits: { readonly maxTokens: number; readonly endIds: readonly number[]; readonly stopRequested?: () => boolean },
): Promise<readonly GreedyOutcome[]> {
  const { endIds } = limits;
  const tasks = prompts.map((ids) => {
    const maxTokens = roomFor(ids.length, model.spec.maxPositions, limits.maxTokens);
    return { promptIds: ids, maxTokens, endIds, sampling: GREEDY, text: null };
  });
  const completions = await completeAll(model, tasks, limits.stopRequested);
  return completions.map(({ ids, stop }) => ({ ids, stop: stop === "end" ? "end" : "length" }));
}

/** Completes a text; the prompt is encoded with what the tokenizer puts before a text. */
export async function completeText(model: CausalModel, tokenizer: Tokenizer, prompt: string, maxTokens: number): Promise<string> {
  const limits = { maxTokens, endIds: endTokens(model.spec, tokenizer) };
  const [outcome] = await completeGreedily(model, [promptIds(tokenizer, prompt)], limits);
  return tokenizer.decode(outcome?.ids ?? []);
}
