import { HeirloomError, nearestName } from "../core/index.ts";
import { describeFailure, type Failure } from "../core/node/index.ts";
import { type CausalModel, decodingRunBytes, MAX_STREAMS } from "../engine/index.ts";
import type { CompletionEvent, CompletionPrompt, CompletionRequest, GenerationEngine, GenerationEngineOptions } from "./api.ts";
import { chatIds } from "./chat.ts";
import type { Completion } from "./completion.ts";
import { type LoadedModels, loadModels } from "./load-model.ts";
import { MAX_TOP_LOGPROBS } from "./logprobs.ts";
import { planCache } from "./memory.ts";
import { endTokens, promptIds, roomFor } from "./prompt.ts";
import { checkSampling } from "./sampling.ts";
import { Scheduler } from "./scheduler.ts";

/** Side by side without being asked: a step of eight costs one and a half times that of one, and gives eight tokens. */
export const DEFAULT_SLOTS = 8;
/** What one step has room for. */
export const MAX_SLOTS = MAX_STREAMS;

/** What the engine is told. */
export type ToHost =
  | { readonly kind: "complete"; readonly id: number; readonly request: CompletionRequest }
  | { readonly kind: "cancel"; readonly id: number }
  | { readonly kind: "close" };

/** What it tells; `id` is that of the request. */
export type FromHost =
  | ({ readonly kind: "ready" } & Pick<GenerationEngine, "models" | "notes" | "cacheBytes" | "hasChatTemplate">)
  | { readonly kind: "event"; readonly id: number; readonly event: CompletionEvent }
  | { readonly kind: "failure"; readonly id: number | null; readonly failure: Failure }
  /** Nothing comes any more; with what could not be freed. */
  | { readonly kind: "closed"; readonly failure: Failure | null };

/** The options that cross the border of threads. */
export type HostOptions = Omit<GenerationEngineOptions, "inline">;

/** The engine itself, on the thread where it computes: messages in, messages out. */
export class EngineHost {
  readonly #loaded: LoadedModels;
  readonly #scheduler: Scheduler;
  readonly #contextLength: number;
  readonly #post: (message: FromHost) => void;
  /** How to end what is under way, by request; null while its prompt is being encoded. */
  readonly #cancels = new Map<number, (() => void) | null>();

  private constructor(loaded: LoadedModels, slots: number, contextLength: number, post: (message: FromHost) => void) {
    this.#loaded = loaded;
    this.#contextLength = contextLength;
    this.#scheduler = new Scheduler({ slots, contextLength });
    this.#post = post;
  }

  /** Opens the models and says that it is ready. @throws what opening them throws; CACHE_TOO_LARGE, CONFIG_INVALID */
  static async open(options: HostOptions, post: (message: FromHost) => void): Promise<EngineHost> {
    const { slots = DEFAULT_SLOTS, contextLength, memoryLimit } = options;
    if (!Number.isInteger(slots) || slots < 1 || slots > MAX_SLOTS)
      throw new HeirloomError("CONFIG_INVALID", `expected a whole number of slots from 1 to ${MAX_SLOTS}, found ${slots}`, {
        where: "slots",
      });
    const loaded = await loadModels(options.sources, options.base);
    try {
      const plan = planCache(loaded.spec, {
        slots,
        models: loaded.models.size,
        runBytes: (tokens) => decodingRunBytes(loaded.spec, slots, tokens),
        ...(contextLength === undefined ? {} : { contextLength }),
        ...(memoryLimit === undefined ? {} : { memoryLimit }),
      });
      const models = [...loaded.models].map(([id, { kind }]) => ({ id, kind, contextLength: plan.contextLength }));
      const hasChatTemplate = loaded.tokenizer.chatTemplate !== null;
      post({ kind: "ready", models, notes: [...loaded.notes, ...plan.notes], cacheBytes: plan.bytes, hasChatTemplate });
      return new EngineHost(loaded, slots, plan.contextLength, post);
    } catch (error) {
      await loaded.dispose();
      throw error;
    }
  }

  /** Takes a message; answers come through `post`, failures among them. */
  handle(message: ToHost): void {
    if (message.kind === "complete") void this.#complete(message.id, message.request);
    else if (message.kind === "cancel") this.#cancel(message.id);
    else void this.#close();
  }

  async #close(): Promise<void> {
    let failure: Failure | null = null;
    try {
      for (const id of this.#cancels.keys()) this.#cancel(id);
      await this.#scheduler.idle();
      await this.#loaded.dispose();
    } catch (error) {
      failure = describeFailure(error);
    }
    this.#post({ kind: "closed", failure });
  }

  #cancel(id: number): void {
    this.#cancels.get(id)?.();
    this.#cancels.delete(id);
  }

  async #complete(id: number, request: CompletionRequest): Promise<void> {
    this.#cancels.set(id, null);
    const fail = (error: unknown): void => {
      if (this.#cancels.delete(id)) this.#post({ kind: "failure", id, failure: describeFailure(error) });
    };
    try {
      const { model } = this.#find(request.model);
      // Whoever got a "start" has promised an answer: what the request says wrongly is to be known before it.
      checkSampling(request.sampling);
      checkTopLogprobs(request.topLogprobs);
      const ids = await this.#encode(request.prompt);
      if (!this.#cancels.has(id)) return; // aborted meanwhile
      const { tokenizer } = this.#loaded;
      const { stop, sampling, topLogprobs } = request;
      const maxTokens = roomFor(ids.length, this.#contextLength, request.maxTokens);
      const text = { tokenizer, stop, ...(topLogprobs === undefined ? {} : { topLogprobs }) };
      const task = { promptIds: ids, maxTokens, endIds: endTokens(model.spec, tokenizer), sampling, text };
      this.#emit(id, { type: "start", promptTokens: ids.length });
      const cancel = this.#scheduler.submit(model, task, {
        onProgress: (progress) => this.#emit(id, { type: "text", ...progress }),
        onDone: (completion) => this.#done(id, completion),
        onFailure: fail,
      });
      if (this.#cancels.has(id)) this.#cancels.set(id, cancel);
    } catch (error) {
      fail(error);
    }
  }

  #emit(id: number, event: CompletionEvent): void {
    this.#post({ kind: "event", id, event });
  }

  #done(id: number, completion: Completion): void {
    this.#cancels.delete(id);
    this.#emit(id, {
      type: "done",
      stop: completion.stop ?? "length",
      promptTokens: completion.task.promptIds.length,
      completionTokens: completion.ids.length,
    });
  }

  #find(id: string): { readonly model: CausalModel } {
    const found = this.#loaded.models.get(id);
    if (found !== undefined) return found;
    const names = [...this.#loaded.models.keys()];
    const near = nearestName(id, names);
    throw new HeirloomError("MODEL_UNKNOWN", `expected one of ${names.join(", ")}, found ${JSON.stringify(id)}`, {
      where: "model",
      ...(near === undefined ? {} : { hint: `did you mean ${near}?` }),
    });
  }

  #encode(prompt: CompletionPrompt): Promise<number[]> {
    const { tokenizer } = this.#loaded;
    if ("text" in prompt) return Promise.resolve(promptIds(tokenizer, prompt.text));
    return chatIds(tokenizer, prompt.messages, prompt.tools === undefined ? {} : { tools: prompt.tools as readonly object[] });
  }
}

function checkTopLogprobs(count: number | undefined): void {
  if (count === undefined || (Number.isInteger(count) && count >= 0 && count <= MAX_TOP_LOGPROBS)) return;
  throw new HeirloomError("SAMPLING_INVALID", `expected a whole number from 0 to ${MAX_TOP_LOGPROBS}, found ${count}`, {
    where: "topLogprobs",
  });
}
