import type { Tokenizer } from "../data/index.ts";
import type { CompletedToken, CompletionStop, SamplingOptions } from "./api.ts";
import { likeliestIds, tokenLogprobs } from "./logprobs.ts";
import { Sampler } from "./sampling.ts";
import { TextStream } from "./text-stream.ts";

/** What is to be completed, in tokens. */
export interface CompletionTask {
  readonly promptIds: readonly number[];
  /** Most tokens to make, room in the context considered. */
  readonly maxTokens: number;
  readonly endIds: readonly number[];
  readonly sampling: SamplingOptions;
  /** How its tokens become text; null: only ids are wanted. */
  readonly text: { readonly tokenizer: Tokenizer; readonly stop: readonly string[]; readonly topLogprobs?: number } | null;
}

/** What one more token gave. */
export interface Progress {
  readonly text: string;
  readonly tokenCount: number;
  /** Empty unless `topLogprobs` asked for them. */
  readonly tokens: readonly CompletedToken[];
}

/** A completion under way: takes logits, gives tokens and text, and says when it is over. */
export class Completion {
  readonly task: CompletionTask;
  readonly ids: number[] = [];
  readonly #sampler: Sampler;
  readonly #text: TextStream | null;
  /** Tokens since the last progress; described only where somebody asked: a sum over the vocabulary costs as much as sampling. */
  readonly #described: CompletedToken[] = [];
  #pendingCount = 0;
  #stop: CompletionStop | null;

  /** @throws SAMPLING_INVALID */
  constructor(task: CompletionTask) {
    this.task = task;
    this.#sampler = new Sampler(task.sampling, task.promptIds);
    this.#text = task.text === null ? null : new TextStream(task.text.tokenizer, task.text.stop);
    this.#stop = task.maxTokens < 1 ? "length" : null;
  }

  /** Why it is over; null while it goes on. */
  get stop(): CompletionStop | null {
    return this.#stop;
  }

  /**
   * Takes the logits [V] after the last token.
   *
   * @returns text that is certain now and its tokens; null if there is none yet
   * @throws LOSS_NOT_FINITE
   */
  take(logits: Float32Array): Progress | null {
    const id = this.#sampler.choose(logits);
    if (this.task.endIds.includes(id)) {
      this.#stop = "end";
      return this.#progress(this.#text?.end() ?? "");
    }
    this.ids.push(id);
    let text = "";
    if (this.#text !== null) {
      this.#pendingCount++;
      if (this.task.text?.topLogprobs !== undefined) this.#described.push(this.#describe(logits, id, this.task.text.topLogprobs));
      text = this.#text.push(id);
    }
    if (this.ids.length >= this.task.maxTokens) {
      text += this.#text?.end() ?? "";
      this.#stop = "length";
    }
    if (this.#text?.stopped === true) this.#stop = "stop";
    return this.#progress(text);
  }

  #describe(logits: Float32Array, id: number, topLogprobs: number): CompletedToken {
    const { tokenizer } = this.task.text as NonNullable<CompletionTask["text"]>;
    const [token, ...top] = tokenLogprobs(logits, [id, ...likeliestIds(logits, topLogprobs)], (each) => tokenizer.decode([each]));
    return { ...(token as CompletedToken), top };
  }

  #progress(text: string): Progress | null {
    if (text === "" && (this.#stop === null || this.#pendingCount === 0)) return null;
    const tokenCount = this.#pendingCount;
    this.#pendingCount = 0;
    return { text, tokenCount, tokens: this.#described.splice(0) };
  }
}
