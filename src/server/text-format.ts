import type { CompletedToken } from "../generate/index.ts";
import { type AnswerFormat, finishReason } from "./format.ts";

/** The likeliest tokens by their text, the chosen one always among them, as in OpenAI's API. */
function likeliest({ text, logprob, top }: CompletedToken): Record<string, number> {
  return Object.fromEntries([...top.map((each) => [each.text, each.logprob] as const), [text, logprob]]);
}

/**
 * Answers of `/v1/completions`.
 *
 * @param starts with log-probabilities: for each choice, the characters of its prompt, from which OpenAI's API counts
 */
export function textFormat(starts: readonly number[] | null): AnswerFormat {
  const offsets = [...(starts ?? [])];
  const logprobs = (index: number, tokens: readonly CompletedToken[]): object | null => {
    if (starts === null) return null;
    let next = offsets[index] ?? 0;
    const offset = tokens.map(({ text }) => {
      const own = next;
      next += text.length;
      return own;
    });
    offsets[index] = next;
    return {
      tokens: tokens.map(({ text }) => text),
      token_logprobs: tokens.map(({ logprob }) => logprob),
      top_logprobs: tokens.map(likeliest),
      text_offset: offset,
    };
  };
  return {
    promptParam: "prompt",
    idPrefix: "cmpl-",
    object: "text_completion",
    chunkObject: "text_completion",
    opening: () => null,
    part({ index, text, tokens }) {
      if (text === "" && !(starts !== null && tokens.length > 0)) return null;
      return { index, text, logprobs: logprobs(index, tokens), finish_reason: null };
    },
    closing: (index, stop) => ({ index, text: "", logprobs: null, finish_reason: finishReason(stop) }),
    whole: ({ index, text, tokens }, stop) => ({ index, text, logprobs: logprobs(index, tokens), finish_reason: finishReason(stop) }),
  };
}
