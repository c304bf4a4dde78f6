import type { HeirloomError } from "../core/index.ts";
import type { ChatMessage } from "../data/index.ts";

/** How the next token is chosen from the model's logits. */
export interface SamplingOptions {
  /** Logits are divided by it; 0 takes the likeliest token each time. */
  readonly temperature: number;
  /** Only the k likeliest tokens. @defaultValue all */
  readonly topK?: number;
  /** Only the likeliest tokens that together reach this probability. @defaultValue 1 */
  readonly topP?: number;
  /** Only tokens at least this fraction as likely as the likeliest. @defaultValue 0 */
  readonly minP?: number;
  /** Logits of tokens that are in the prompt or the answer are divided (positive) or multiplied (negative) by it. @defaultValue 1 */
  readonly repetitionPenalty?: number;
  /** Taken off the logits of tokens that are in the answer. @defaultValue 0 */
  readonly presencePenalty?: number;
  /** Taken off the logits of tokens that are in the answer, once for each time. @defaultValue 0 */
  readonly frequencyPenalty?: number;
  /** Equal seeds give equal answers on one machine. @defaultValue drawn anew for each request */
  readonly seed?: number;
}

/** What is to be completed: a text as it is, or the turns of a conversation in the tokenizer's chat template. */
export type CompletionPrompt =
  | { readonly text: string }
  | { readonly messages: readonly ChatMessage[]; readonly tools?: readonly unknown[] };

/** One thing to complete. */
export interface CompletionRequest {
  /** Which of the engine's models; see {@link GenerationEngine.models}. */
  readonly model: string;
  readonly prompt: CompletionPrompt;
  /** Longest completion in tokens; null: until the context is full. */
  readonly maxTokens: number | null;
  /** Texts that end the completion; none of them is part of it. */
  readonly stop: readonly string[];
  readonly sampling: SamplingOptions;
  /** Tells every token with its log-probability, and so many of the likeliest in its place. @defaultValue tokens are only counted */
  readonly topLogprobs?: number;
}

/** A token with the natural logarithm of the probability that the model itself (before any sampling option) gave it. */
export interface TokenLogprob {
  readonly id: number;
  /** The token by itself; U+FFFD where it is a part of a character. */
  readonly text: string;
  readonly logprob: number;
}

/** A token of a completion. */
export interface CompletedToken extends TokenLogprob {
  /** The likeliest tokens in its place, likeliest first: as many as `topLogprobs` asked for. */
  readonly top: readonly TokenLogprob[];
}

/** Why a completion ended: an end token, the limit (also that of the context), or a stop text. */
export type CompletionStop = "end" | "length" | "stop";

/** What comes of a request, in order: one `start`, any number of `text`, one `done`. */
export type CompletionEvent =
  | { readonly type: "start"; readonly promptTokens: number }
  /**
   * Whole characters that can no longer turn out to be part of a stop text, and how many tokens came since the last event;
   * `tokens` are these if `topLogprobs` asked for them, else none.
   */
  | { readonly type: "text"; readonly text: string; readonly tokenCount: number; readonly tokens: readonly CompletedToken[] }
  | { readonly type: "done"; readonly stop: CompletionStop; readonly promptTokens: number; readonly completionTokens: number };

/** A model or an adapter on it that an engine can complete with. */
export interface EngineModel {
  readonly id: string;
  readonly kind: "base" | "adapter";
  /** Prompt and completion together, in tokens. */
  readonly contextLength: number;
}

/**
 * A base with any number of adapters in a worker thread. Requests run side by side: they join and leave between tokens.
 */
export interface GenerationEngine {
  /** The base and its adapters. */
  readonly models: readonly EngineModel[];
  /** What had to be taken for granted about them, for people to read. */
  readonly notes: readonly string[];
  /** Bytes that the keys and values of all slots take if every one is full. */
  readonly cacheBytes: number;
  /** Whether the tokenizer brings a chat template, so that prompts of messages can be completed. */
  readonly hasChatTemplate: boolean;
  /** Resolves once nothing can be asked any more, with the reason: INTERRUPTED after {@link close}, else what its thread died of. */
  readonly ended: Promise<HeirloomError>;
  /**
   * Completes a request; it waits while all slots are taken. Leaving the loop or aborting frees its slot.
   *
   * @throws (from the iteration) MODEL_UNKNOWN, PROMPT_TOO_LONG, DATA_EMPTY for an empty prompt, SAMPLING_INVALID,
   *   CHAT_TEMPLATE_INVALID, INTERRUPTED after an abort or {@link close}, LOSS_NOT_FINITE, COMPUTE_FAILED
   */
  complete(request: CompletionRequest, signal?: AbortSignal): AsyncIterable<CompletionEvent>;
  /** Ends what is under way and frees everything. @throws what could not be freed, on the caller's own thread only */
  close(): Promise<void>;
}

/** A folder that an engine opens, and what it is called. */
export interface EngineSource {
  /** Folder of an adapter, checkpoint, run or model. */
  readonly path: string;
  /** @defaultValue the last part of the path */
  readonly id?: string;
}

/** What an engine is made of. */
export interface GenerationEngineOptions {
  /** Adapters of one base, or one model. The base is always among the engine's models. */
  readonly sources: readonly EngineSource[];
  /** Base model, if the adapters' records name none or another is meant. */
  readonly base?: string;
  /** How many requests run side by side, 512 at most. @defaultValue 8 */
  readonly slots?: number;
  /** Longest prompt and completion together, in tokens. @defaultValue what the model was made for */
  readonly contextLength?: number;
  /**
   * Most that the keys and values of all slots and what runs hold besides may take, in bytes.
   * @defaultValue half of the memory that the process can have, as far as it can be had once the weights are there
   */
  readonly memoryLimit?: number;
  /** Runs it on the caller's thread, which computing then blocks. @defaultValue false */
  readonly inline?: boolean;
}

/** What to complete, and with what. */
export interface GenerationRequest {
  /** Folder of an adapter, checkpoint, run or model. */
  readonly path: string;
  /** What the model at {@link path} is called. @defaultValue the last part of the path */
  readonly id?: string;
  /** More adapters on the same base, each of which completes every prompt as well. @defaultValue none */
  readonly adapters?: readonly (string | EngineSource)[];
  /** Base model, if the adapters' records name none or another is meant. */
  readonly base?: string;
  /** A text by itself stands for `{ text }`. */
  readonly prompts: readonly (string | CompletionPrompt)[];
  /** Longest completion in tokens; null: until the context is full. */
  readonly maxTokens: number | null;
  /** @defaultValue the likeliest token each time */
  readonly sampling?: SamplingOptions;
  /** Texts that end a completion. @defaultValue none */
  readonly stop?: readonly string[];
  /** How many completions run side by side. @defaultValue 8, or as many as there are */
  readonly slots?: number;
}

/** How a caller follows and stops generating. */
export interface GenerationOptions {
  readonly signal?: AbortSignal;
  /** Called as text comes; `index` is that of the completion in the result. */
  readonly onText?: (index: number, text: string) => void;
  /** Called once for each completion that is over. */
  readonly onCompletion?: (index: number, completion: GeneratedText) => void;
}

/** A prompt and what came after it. */
export interface GeneratedText {
  /** Which model made it; see {@link GenerationEngine.models}. */
  readonly model: string;
  /** As it was given. */
  readonly prompt: string | CompletionPrompt;
  readonly text: string;
  readonly promptTokens: number;
  /** Tokens of the text. */
  readonly tokens: number;
  /** What ended it. */
  readonly stop: CompletionStop;
}

/** All completions of a request: for each prompt, in order, that of each model. */
export interface GenerationResult {
  readonly path: string;
  /** The models that completed, in order. */
  readonly models: readonly string[];
  readonly completions: readonly GeneratedText[];
  /** Over all completions, from the first request to the last token; opening the model is not counted. */
  readonly tokensPerSecond: number;
  /** What had to be taken for granted about the model. */
  readonly notes: readonly string[];
}
