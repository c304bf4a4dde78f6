import type { DiffResult } from "../../audit/diff/index.ts";
import { defineCommand } from "../command.ts";
import { pathFrom } from "../paths.ts";

interface Flags {
  readonly tensors?: boolean;
}

const side = (placeholder: string) =>
  ({ brief: "Adapter, checkpoint, run or model folder, or a file of weights", placeholder, parse: (text: string) => text }) as const;

export const diff = defineCommand<Flags, [a: string, b: string], DiffResult>({
  brief: "What moved between two adapters, checkpoints or models, tensor by tensor",
  description:
    "Compares two adapters, checkpoints, models or files of weights tensor by tensor: which are the same, which moved and how far, which are on one side only. Streams the values, so that files of any size need little memory. bf16, fp16 and fp32 are compared by value. Exit code 0 whatever the answer.",
  examples: [
    { line: "diff runs/a/checkpoint-10 runs/a/checkpoint-20", what: "what a stretch of training moved" },
    { line: "diff old.safetensors new.safetensors --tensors", what: "every tensor of two files" },
    { line: "diff models/m models/merged --json", what: "for scripts" },
  ],
  flags: {
    tensors: { kind: "boolean", optional: true, withNegated: false, brief: "List every tensor that changed, not just kinds of tensors" },
  },
  positional: { kind: "tuple", parameters: [side("A"), side("B")] },
  async run(_, [a, b], { folder, signal }) {
    const { diffPaths } = await import("../../audit/diff/index.ts");
    return diffPaths(pathFrom(folder, a), pathFrom(folder, b), { signal });
  },
  async render(result, view, { tensors = false }) {
    const { diffView } = await import("../views/diff.ts");
    return diffView(result, view, tensors);
  },
});
