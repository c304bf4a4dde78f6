/** What to complete, and with what. */
export interface GenerationRequest {
  /** Folder of an adapter, checkpoint, run or model. */
  readonly path: string;
  /** Base model, if the adapter's record names none or another is meant. */
  readonly base?: string;
  readonly prompts: readonly string[];
  /** Longest completion in tokens. */
  readonly maxTokens: number;
  /** True: each prompt is a user's turn in the tokenizer's chat template. */
  readonly chat: boolean;
}

/** How a caller stops generating. */
export interface GenerationOptions {
  readonly signal?: AbortSignal;
}

/** A prompt and what came after it. */
export interface Completion {
  readonly prompt: string;
  readonly text: string;
  readonly tokens: number;
  /** What ended it: an end token, or the limit. */
  readonly stop: "end" | "length";
}

/** All completions of a request, in its order. */
export interface GenerationResult {
  readonly path: string;
  readonly completions: readonly Completion[];
  readonly tokensPerSecond: number;
  /** What had to be taken for granted about the model. */
  readonly notes: readonly string[];
}
