import { HeirloomError } from "../core/index.ts";
import type { Tokenizer } from "../data/index.ts";
import type { ModelSpec } from "../model/index.ts";

/** A prompt's ids, without an end token that a post-processor may add. */
export function promptIds(tokenizer: Tokenizer, prompt: string): number[] {
  const ids = tokenizer.encode(prompt);
  while (ids.length > 1 && ids.at(-1) === tokenizer.eosId) ids.pop();
  return ids;
}

/** The ids that end a text: the tokenizer's end token and those of the model's config. */
export function endTokens(spec: ModelSpec, tokenizer: Tokenizer): number[] {
  return [...new Set([...(tokenizer.eosId === null ? [] : [tokenizer.eosId]), ...spec.eosTokenIds])];
}

/**
 * How many tokens may follow a prompt.
 *
 * @param wanted null: as many as there is room for
 * @throws DATA_EMPTY for a prompt of no tokens, PROMPT_TOO_LONG if it fills the context
 */
export function roomFor(promptTokens: number, contextLength: number, wanted: number | null): number {
  if (promptTokens === 0) {
    throw new HeirloomError("DATA_EMPTY", "expected a prompt of at least one token, found none", {
      where: "prompt",
      hint: "this tokenizer adds no start token, so the prompt cannot be empty",
    });
  }
  const room = contextLength - promptTokens;
  if (room < 1) {
    throw new HeirloomError(
      "PROMPT_TOO_LONG",
      `expected a prompt of fewer than ${contextLength} tokens, the context, found ${promptTokens}`,
      {
        where: "prompt",
        hint: "shorten the prompt",
        details: { promptTokens, contextLength },
      },
    );
  }
  return wanted === null ? room : Math.min(wanted, room);
}
