import type { GgufRequest, GgufResult, GgufType, MergeTarget } from "../../export/index.ts";
import { defineCommand } from "../command.ts";
import { textFlag } from "../config-flags.ts";
import { exportNotes } from "../export-notes.ts";
import { optionalPaths, pathFrom } from "../paths.ts";

interface Flags {
  readonly to: "gguf";
  readonly output: string;
  readonly type?: GgufType;
  readonly lora?: boolean;
  readonly base?: string;
  readonly original?: string;
  readonly onto?: MergeTarget;
  readonly heldAs?: NonNullable<GgufRequest["heldAs"]>;
  readonly check: boolean;
}

export const exportCommand = defineCommand<Flags, [path: string], GgufResult>({
  brief: "A model, a merged adapter or an adapter by itself as a GGUF file for llama.cpp",
  description:
    "Writes a GGUF file. Of an adapter the merged model (merged as heirloom merge does it, comparison included), or with --lora the adapter by itself, for llama.cpp's --lora. What GGUF cannot hold is refused by name.",
  examples: [
    { line: "export runs/a --to gguf -o a.gguf --type q8_0", what: "the merged model, 8 bits" },
    { line: "export models/m --to gguf -o m.gguf", what: "a model, in fp16" },
    { line: "export runs/a --to gguf -o a-lora.gguf --lora", what: "the adapter alone" },
  ],
  flags: {
    to: { kind: "enum", values: ["gguf"], brief: "Format to write" },
    output: { kind: "parsed", parse: (text: string) => text, placeholder: "file", brief: "File to write, which must not be there yet" },
    type: { kind: "enum", values: ["f16", "bf16", "q8_0"], optional: true, brief: "What a model's matrices are written as; default: f16" },
    lora: { kind: "boolean", optional: true, withNegated: false, brief: "Write the adapter by itself" },
    base: textFlag("Base model, if the adapter names none or another is meant", "path"),
    original: textFlag("Dense weights of a base that is stored in 4 bits", "path"),
    onto: { kind: "enum", values: ["trained", "original"], optional: true, brief: "What is merged onto; as of heirloom merge" },
    heldAs: {
      kind: "enum",
      values: ["files", "nf4", "nf4-double"],
      optional: true,
      brief: "How the base was held in training; as of heirloom merge",
    },
    check: { kind: "boolean", default: true, brief: "Compare the merged model's logits with the adapter's" },
  },
  aliases: { o: "output" },
  positional: {
    kind: "tuple",
    parameters: [{ brief: "Folder of a model, an adapter, a checkpoint or a run", placeholder: "path", parse: (text: string) => text }],
  },
  async run({ to: _gguf, output, base, original, ...choices }, [path], { folder, signal, progress }) {
    const { exportGguf } = await import("../../export/index.ts");
    const request = {
      path: pathFrom(folder, path),
      output: pathFrom(folder, output),
      ...optionalPaths(folder, { base, original }),
      ...choices,
    };
    return exportGguf(request, { onEvent: exportNotes(progress), signal });
  },
  async render(result, view) {
    const { ggufView } = await import("../views/gguf.ts");
    return ggufView(result, view);
  },
});
