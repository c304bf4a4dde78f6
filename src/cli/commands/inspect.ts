import type { InspectResult } from "../../audit/index.ts";
import { defineCommand } from "../command.ts";
import { textFlag } from "../config-flags.ts";
import { optionalPaths, pathFrom } from "../paths.ts";

interface Flags {
  readonly base?: string;
  readonly tensors?: boolean;
}

export const inspect = defineCommand<Flags, [path: string], InspectResult>({
  brief: "What an adapter, checkpoint, run or model is, from its file headers",
  description:
    "What an adapter, checkpoint, run or model is, from configuration and file headers alone: every tensor with its role, shape and size, and with --base what PEFT would print for it. Reads no weights.",
  examples: [
    { line: "inspect runs/a/adapter --base models/m", what: "the ledger and PEFT's banner" },
    { line: "inspect models/m", what: "a model folder" },
    { line: "inspect runs/a --json", what: "for scripts" },
  ],
  flags: {
    base: textFlag("Base model of the adapter: its config.json is enough", "path"),
    tensors: { kind: "boolean", optional: true, withNegated: false, brief: "List every tensor, not just kinds of modules" },
  },
  positional: {
    kind: "tuple",
    parameters: [{ brief: "Folder of an adapter, a checkpoint, a run or a model", placeholder: "path", parse: (text: string) => text }],
  },
  async run({ base }, [path], { folder }) {
    const { inspectPath } = await import("../../audit/index.ts");
    return inspectPath(pathFrom(folder, path), optionalPaths(folder, { base }));
  },
  async render(result, view, { tensors = false }) {
    const { inspectView } = await import("../views/inspect.ts");
    return inspectView(result, view, tensors);
  },
});
