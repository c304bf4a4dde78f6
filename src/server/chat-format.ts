import type { CompletedToken, TokenLogprob } from "../generate/index.ts";
import { type AnswerFormat, finishReason } from "./format.ts";

const REPLACEMENT = "\ufffd";
const utf8 = new TextEncoder();

/** The bytes of a token are not known where its text is only a part of a character. */
function described({ text, logprob }: TokenLogprob): object {
  return { token: text, logprob, bytes: text.includes(REPLACEMENT) ? null : [...utf8.encode(text)] };
}

function logprobsOf(tokens: readonly CompletedToken[]): object {
  return { content: tokens.map((token) => ({ ...described(token), top_logprobs: token.top.map(described) })), refusal: null };
}

/** Answers of `/v1/chat/completions`. */
export function chatFormat(withLogprobs: boolean): AnswerFormat {
  const logprobs = (tokens: readonly CompletedToken[]): object | null => (withLogprobs ? logprobsOf(tokens) : null);
  return {
    promptParam: "messages",
    idPrefix: "chatcmpl-",
    object: "chat.completion",
    chunkObject: "chat.completion.chunk",
    opening: (index) => ({ index, delta: { role: "assistant", content: "", refusal: null }, logprobs: null, finish_reason: null }),
    part({ index, text, tokens }) {
      if (text === "" && !(withLogprobs && tokens.length > 0)) return null;
      return { index, delta: { content: text }, logprobs: logprobs(tokens), finish_reason: null };
    },
    closing: (index, stop) => ({ index, delta: {}, logprobs: null, finish_reason: finishReason(stop) }),
    whole: ({ index, text, tokens }, stop) => ({
      index,
      message: { role: "assistant", content: text, refusal: null },
      logprobs: logprobs(tokens),
      finish_reason: finishReason(stop),
    }),
  };
}
