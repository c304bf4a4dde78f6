import type { ExplainResult } from "../../audit/explain/index.ts";
import { defineCommand } from "../command.ts";
import { textFlag } from "../config-flags.ts";
import { optionalPaths, pathFrom } from "../paths.ts";

interface Flags {
  readonly base: string;
  readonly adapter?: string;
  readonly log?: string;
  readonly all?: boolean;
}

export const explain = defineCommand<Flags, string[], ExplainResult>({
  brief: "Which configurations give the numbers that a trainer printed",
  description:
    "Which configurations give the numbers that a trainer printed: every rank, set of modules, number of layers and state of the full copies, the most ordinary first; what would decide between them, and what an adapter's own files say to it. Takes the line of PEFT, Unsloth, the Trainer or mlx-lm, a log with several of them, or the trained count, the total and the share.",
  examples: [
    { line: 'explain "trainable params: 167,772,160 (1.81%)" --base models/m', what: "a line, with its base" },
    { line: "explain 167772160 9248706560 --base models/m/config.json", what: "two numbers; the base's config is enough" },
    { line: "explain --log train.log --base models/m --adapter out", what: "a log against an adapter" },
  ],
  flags: {
    base: {
      kind: "parsed",
      parse: (text: string) => text,
      brief: "Base model: its folder or its config.json",
      placeholder: "path",
    },
    adapter: textFlag("Adapter that the numbers are said to be of: its headers are read", "path"),
    log: textFlag("Take the text from this file", "file"),
    all: { kind: "boolean", optional: true, withNegated: false, brief: "List every configuration, not just the most ordinary" },
  },
  positional: {
    kind: "array",
    parameter: { brief: "What the trainer printed, or the numbers", placeholder: "banner", parse: (text: string) => text },
  },
  async run({ base, adapter, log }, words, { folder }) {
    const { explainFiles } = await import("../../audit/explain-files.ts");
    const text = words.length === 0 ? {} : { text: words.join(" ") };
    return explainFiles({
      ...text,
      base: pathFrom(folder, base),
      ...optionalPaths(folder, { adapter, log }),
      names: { base, ...(adapter === undefined ? {} : { adapter }) },
    });
  },
  async render(result, view, { all = false }) {
    const { explainView } = await import("../views/explain.ts");
    return explainView(result, view, all);
  },
});
