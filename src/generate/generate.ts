import { HeirloomError } from "../core/index.ts";
import type {
  CompletionPrompt,
  CompletionStop,
  EngineSource,
  GeneratedText,
  GenerationEngine,
  GenerationOptions,
  GenerationRequest,
  GenerationResult,
} from "./api.ts";
import { DEFAULT_SLOTS } from "./engine-host.ts";
import { modelName } from "./load-model.ts";
import { openGenerationEngine } from "./open-engine.ts";
import { checkSampling, GREEDY } from "./sampling.ts";

/** The names that an engine has for the models that it was opened with, in that order. */
export function engineNames(engine: GenerationEngine, sources: readonly EngineSource[]): readonly string[] {
  const known = new Set(engine.models.map(({ id }) => id));
  // A path that is called otherwise is the base itself, found through another name.
  const base = engine.models.find(({ kind }) => kind === "base")?.id ?? "";
  return sources.map(({ path, id = modelName(path) }) => (known.has(id) ? id : base));
}

async function completeOne(
  engine: GenerationEngine,
  model: string,
  given: string | CompletionPrompt,
  request: GenerationRequest,
  { signal, onText }: { readonly signal?: AbortSignal; onText(text: string): void },
): Promise<GeneratedText> {
  const { maxTokens, stop = [], sampling = GREEDY } = request;
  const prompt = typeof given === "string" ? { text: given } : given;
  let text = "";
  let end: { stop: CompletionStop; promptTokens: number; completionTokens: number } | null = null;
  for await (const event of engine.complete({ model, prompt, maxTokens, stop, sampling }, signal)) {
    if (event.type === "text") {
      text += event.text;
      onText(event.text);
    } else if (event.type === "done") end = event;
  }
  if (end === null) throw new HeirloomError("INTERRUPTED", "the completion ended without its end");
  return { model, prompt: given, text, promptTokens: end.promptTokens, tokens: end.completionTokens, stop: end.stop };
}

/** What has to be known of prompts in plain text where the model knows chats, which it may have been trained on. */
function chatNotes(completions: readonly GeneratedText[]): string[] {
  const plain = completions.filter(({ prompt }) => typeof prompt === "string" || "text" in prompt);
  if (plain.length === 0) return [];
  const isEmpty = plain.some(({ text, stop }) => stop === "end" && text === "");
  const what = isEmpty ? "an answer is empty, to a prompt in plain text" : "the prompt was completed as plain text";
  return [`${what}; the model has a chat template, and --chat asks as in a chat, as one that was trained on chats expects it`];
}

/**
 * Completes prompts in a worker thread, several side by side, with one model or with several adapters of one base.
 *
 * @throws what {@link openGenerationEngine} throws; PROMPT_TOO_LONG, DATA_EMPTY, SAMPLING_INVALID, CHAT_TEMPLATE_INVALID, INTERRUPTED
 */
export async function generate(request: GenerationRequest, options: GenerationOptions = {}): Promise<GenerationResult> {
  checkSampling(request.sampling ?? GREEDY); // before gigabytes are read
  const { path, id, adapters = [] } = request;
  const sources = [
    { path, ...(id === undefined ? {} : { id }) },
    ...adapters.map((adapter) => (typeof adapter === "string" ? { path: adapter } : adapter)),
  ];
  const slots = request.slots ?? Math.max(1, Math.min(DEFAULT_SLOTS, sources.length * request.prompts.length));
  const engine = await openGenerationEngine({
    sources,
    slots,
    ...(request.base === undefined ? {} : { base: request.base }),
  });
  // One that fails ends the others.
  const failed = new AbortController();
  const signal = options.signal === undefined ? failed.signal : AbortSignal.any([failed.signal, options.signal]);
  try {
    const models = engineNames(engine, sources);
    const began = performance.now();
    const tasks = request.prompts.flatMap((prompt) => models.map((model) => ({ prompt, model })));
    const completions = await Promise.all(
      tasks.map(async ({ prompt, model }, index) => {
        const completion = await completeOne(engine, model, prompt, request, { signal, onText: (text) => options.onText?.(index, text) });
        options.onCompletion?.(index, completion);
        return completion;
      }),
    ).catch((error: unknown) => {
      failed.abort();
      throw error;
    });
    const made = completions.reduce((sum, { tokens }) => sum + tokens, 0);
    const seconds = (performance.now() - began) / 1000;
    const notes = engine.hasChatTemplate ? [...engine.notes, ...chatNotes(completions)] : engine.notes;
    return { path, models, completions, tokensPerSecond: made / seconds, notes };
  } finally {
    await engine.close();
  }
}
