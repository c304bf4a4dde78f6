import type { MergeDtype, MergeRequest, MergeResult, MergeTarget } from "../../export/index.ts";
import { defineCommand } from "../command.ts";
import { textFlag } from "../config-flags.ts";
import { exportNotes } from "../export-notes.ts";
import { optionalPaths, pathFrom } from "../paths.ts";

interface Flags {
  readonly output: string;
  readonly base?: string;
  readonly original?: string;
  readonly dtype?: MergeDtype;
  readonly onto: MergeTarget;
  readonly heldAs?: NonNullable<MergeRequest["heldAs"]>;
  readonly check: boolean;
}

export const merge = defineCommand<Flags, [path: string], MergeResult>({
  brief: "An adapter merged into its base: a model folder that transformers loads",
  description:
    "Makes a model folder of an adapter and its base: W + scaling·B·A in every weight, full copies and trained rows in their places. By default onto the base as the adapter saw it in training, so that the merged model gives the adapter's logits: they are compared afterwards, and a mismatch fails with nothing left behind. Of a base that was quantized, how far its original weights are from what was trained on is measured and told.",
  examples: [
    { line: "merge runs/a -o models/merged", what: "in the base's own dtype" },
    { line: "merge runs/a -o models/merged --dtype fp32", what: "without rounding" },
    { line: "merge runs/a -o models/merged --onto original", what: "onto the weights before they were quantized" },
  ],
  flags: {
    output: { kind: "parsed", parse: (text: string) => text, placeholder: "folder", brief: "Folder to make, which must not be there yet" },
    base: textFlag("Base model, if the record names none or another is meant", "path"),
    original: textFlag("Dense weights of a base that is stored in 4 bits", "path"),
    dtype: {
      kind: "enum",
      values: ["fp32", "bf16", "fp16"],
      optional: true,
      brief: "What the weights are written as; default: as the base",
    },
    onto: {
      kind: "enum",
      values: ["trained", "original"],
      default: "trained",
      brief: "Base as trained (dequantized), or its original weights",
    },
    heldAs: {
      kind: "enum",
      values: ["files", "nf4", "nf4-double"],
      optional: true,
      brief: "How the base was held in training, for an adapter without a record",
    },
    check: { kind: "boolean", default: true, brief: "Compare the merged model's logits with the adapter's" },
  },
  aliases: { o: "output" },
  positional: {
    kind: "tuple",
    parameters: [{ brief: "Folder of an adapter, a checkpoint or a run", placeholder: "path", parse: (text: string) => text }],
  },
  async run({ output, base, original, ...choices }, [path], { folder, signal, progress }) {
    const { mergeAdapter } = await import("../../export/index.ts");
    const request = {
      path: pathFrom(folder, path),
      output: pathFrom(folder, output),
      ...optionalPaths(folder, { base, original }),
      ...choices,
    };
    return mergeAdapter(request, { onEvent: exportNotes(progress), signal });
  },
  async render(result, view) {
    const { mergeView } = await import("../views/merge.ts");
    return mergeView(result, view);
  },
});
