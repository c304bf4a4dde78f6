import { HeirloomError } from "../../core/index.ts";
import { writeTextAtomic } from "../../core/node/index.ts";
import type { CompletionPrompt, GeneratedText, GenerationRequest, GenerationResult } from "../../generate/index.ts";
import { defineCommand, type Session } from "../command.ts";
import { textFlag, textsFlag } from "../config-flags.ts";
import { engineSources, modelArgument } from "../engine-source.ts";
import { refuseExistingFile } from "../output-file.ts";
import { optionalPaths, pathFrom } from "../paths.ts";
import { type SamplingFlags, samplingFlags, samplingFrom } from "../sampling-flags.ts";
import { escapeText } from "../terminal/index.ts";
import { generationView } from "../views/generation.ts";
import { wholeNumber } from "../whole-number.ts";

const DEFAULT_MAX_TOKENS = 64;

interface Flags extends SamplingFlags {
  readonly prompt?: readonly string[];
  readonly file?: string;
  readonly output?: string;
  readonly adapter?: readonly string[];
  readonly base?: string;
  readonly maxTokens?: number;
  readonly slots?: number;
  readonly chat?: boolean;
  readonly system?: string;
}

/** What the command gives back: the completions, and how they were shown already. */
interface GenerateResult extends GenerationResult {
  /** The file that they were written to; null: none. */
  readonly output: string | null;
}

/** A text as a user's turn, if a chat is asked for. */
function inChat(prompt: string | CompletionPrompt, { chat = false, system }: Flags): string | CompletionPrompt {
  const text = typeof prompt === "string" ? prompt : "text" in prompt ? prompt.text : null;
  if (text === null || (!chat && system === undefined)) return prompt;
  const turns = system === undefined ? [] : [{ role: "system", content: system }];
  return { messages: [...turns, { role: "user", content: text }] };
}

async function promptsOf(flags: Flags, folder: string): Promise<(string | CompletionPrompt)[]> {
  const { prompt = [], file } = flags;
  if (prompt.length === 0 && file === undefined) {
    throw new HeirloomError("USAGE", "expected something to complete, found neither --prompt nor --file", {
      hint: 'for example --prompt "In the beginning"',
    });
  }
  const fromFile = file === undefined ? [] : await (await import("../prompt-file.ts")).readPrompts(pathFrom(folder, file));
  return [...prompt, ...fromFile].map((each) => inChat(each, flags));
}

/** One line of the output file. */
function outputLine({ model, prompt, text, promptTokens, tokens, stop }: GeneratedText): string {
  const asked = typeof prompt === "string" ? { prompt } : "text" in prompt ? { prompt: prompt.text } : { messages: prompt.messages };
  return `${JSON.stringify({ ...asked, model, completion: text, promptTokens, tokens, stop })}\n`;
}

/** Shows a single completion as it comes; a note for each of many. */
function listeners(total: number, toFile: boolean, { stream, progress }: Session) {
  let done = 0;
  return {
    onText: (_index: number, text: string) => {
      if (total === 1 && !toFile) stream(escapeText(text));
    },
    onCompletion: () => {
      done++;
      if (toFile) progress.note(`${done} of ${total}`);
    },
  };
}

export const generate = defineCommand<Flags, [path: string], GenerateResult>({
  brief: "Complete prompts with an adapter or a model",
  examples: [
    { line: 'generate runs/a --prompt "In the beginning"', what: "with a run's adapter, the likeliest token each time" },
    { line: 'generate models/m --chat --prompt "Define water." --temperature 0.7 --seed 1', what: "drawn, as a user's turn of a chat" },
    { line: 'generate runs/a --adapter runs/b --prompt "In the"', what: "two adapters of one base, side by side" },
    { line: 'generate old=a/adapter --adapter new=b/adapter --prompt "In"', what: "two of one name, under names of their own" },
    { line: "generate runs/a --file prompts.jsonl -o answers.jsonl", what: "many prompts, eight at once" },
  ],
  flags: {
    prompt: textsFlag("What to complete; may be given several times", "text"),
    file: textFlag("Prompts: JSON Lines or a JSON list of {prompt} or {messages}, or a text a line", "path"),
    output: textFlag("JSON Lines file for the completions", "path"),
    adapter: textsFlag("Another adapter of the same base, for comparison, and what it is called; may be given several times", "name=path"),
    base: textFlag("Base model, if the record names none or another is meant", "path"),
    maxTokens: {
      kind: "parsed",
      parse: wholeNumber,
      optional: true,
      brief: `Longest completion (${DEFAULT_MAX_TOKENS})`,
      placeholder: "tokens",
    },
    slots: { kind: "parsed", parse: wholeNumber, optional: true, brief: "Completions at once (8)", placeholder: "number" },
    chat: { kind: "boolean", optional: true, withNegated: false, brief: "Put the prompt into the chat template" },
    system: textFlag("System message; implies --chat", "text"),
    ...samplingFlags,
  },
  aliases: { o: "output" },
  positional: {
    kind: "tuple",
    parameters: [modelArgument],
  },
  async run(flags, [path], session) {
    const { folder, signal } = session;
    const output = flags.output === undefined ? null : pathFrom(folder, flags.output);
    if (output !== null) await refuseExistingFile(output);
    const prompts = await promptsOf(flags, folder);
    const library = await import("../../generate/index.ts");
    const [source = { path }, ...adapters] = await engineSources([path, ...(flags.adapter ?? [])], folder);
    const request: GenerationRequest = {
      ...source,
      adapters,
      prompts,
      maxTokens: flags.maxTokens ?? DEFAULT_MAX_TOKENS,
      sampling: samplingFrom(flags, library.checkSampling),
      stop: flags.stop ?? [],
      ...(flags.slots === undefined ? {} : { slots: flags.slots }),
      ...optionalPaths(folder, { base: flags.base }),
    };
    const result = await library.generate(request, {
      signal,
      ...listeners(prompts.length * (adapters.length + 1), output !== null, session),
    });
    if (output !== null) await writeTextAtomic(output, result.completions.map(outputLine).join(""));
    return { ...result, output };
  },
  render: generationView,
});
