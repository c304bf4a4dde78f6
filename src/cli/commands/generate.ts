import type { GenerationResult } from "../../generate/index.ts";
import { defineCommand } from "../command.ts";
import { textFlag } from "../config-flags.ts";
import { optionalPaths, pathFrom } from "../paths.ts";
import { generationView } from "../views/generation.ts";
import { wholeNumber } from "../whole-number.ts";

const DEFAULT_MAX_TOKENS = 64;

interface Flags {
  readonly prompt: readonly string[];
  readonly base?: string;
  readonly maxTokens?: number;
  readonly chat?: boolean;
}

export const generate = defineCommand<Flags, [path: string], GenerationResult>({
  brief: "Complete prompts with an adapter or a model (greedy)",
  examples: [
    { line: 'generate runs/a --prompt "In the beginning"', what: "with a run's adapter" },
    { line: 'generate models/m --chat --prompt "Define water." --max-tokens 40', what: "as a user's turn of a chat" },
  ],
  flags: {
    prompt: {
      kind: "parsed",
      parse: (text: string) => text,
      variadic: true,
      brief: "What to complete; may be given several times",
      placeholder: "text",
    },
    base: textFlag("Base model, if the record names none or another is meant", "path"),
    maxTokens: {
      kind: "parsed",
      parse: wholeNumber,
      optional: true,
      brief: `Longest completion (${DEFAULT_MAX_TOKENS})`,
      placeholder: "tokens",
    },
    chat: { kind: "boolean", optional: true, withNegated: false, brief: "Put the prompt into the chat template" },
  },
  positional: {
    kind: "tuple",
    parameters: [{ brief: "Folder of an adapter, a checkpoint, a run or a model", placeholder: "path", parse: (text: string) => text }],
  },
  async run({ prompt, base, maxTokens, chat = false }, [path], { folder, signal }) {
    const library = await import("../../generate/index.ts");
    const request = {
      path: pathFrom(folder, path),
      prompts: prompt,
      maxTokens: maxTokens ?? DEFAULT_MAX_TOKENS,
      chat,
      ...optionalPaths(folder, { base }),
    };
    return library.generate(request, { signal });
  },
  render: generationView,
});
