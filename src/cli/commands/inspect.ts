import type { InspectResult } from "../../audit/inspect/index.ts";
import { defineCommand } from "../command.ts";
import { textFlag } from "../config-flags.ts";
import { optionalPaths, pathFrom } from "../paths.ts";
import { wholeNumber } from "../whole-number.ts";

interface Flags {
  readonly base?: string;
  readonly tensors?: boolean;
  readonly tree?: boolean;
  readonly depth?: number;
}

export const inspect = defineCommand<Flags, [path: string], InspectResult>({
  brief: "What an adapter, checkpoint, run or model is, from its file headers",
  description:
    "What an adapter, checkpoint, run or model is, from configuration and file headers alone: every tensor with its role, shape and size, and with --base what PEFT would print for it. Reads no weights.",
  examples: [
    { line: "inspect runs/a/adapter --base models/m", what: "the ledger and PEFT's banner" },
    { line: "inspect models/m --tree", what: "a model folder, module by module" },
    { line: "inspect hf://owner/name", what: "on the hub: fetches headers only" },
    { line: "inspect runs/a --json", what: "for scripts" },
  ],
  flags: {
    base: textFlag("Base model of the adapter: its config.json is enough", "path"),
    tensors: { kind: "boolean", optional: true, withNegated: false, brief: "List every tensor, not just kinds of modules" },
    tree: {
      kind: "boolean",
      optional: true,
      withNegated: false,
      brief: "Show the tree of modules; numbered ones that are alike as one row",
    },
    depth: { kind: "parsed", optional: true, parse: wholeNumber, placeholder: "levels", brief: "Levels of that tree" },
  },
  positional: {
    kind: "tuple",
    parameters: [
      {
        brief: "An adapter, checkpoint, run or model: its folder, one of its files, or hf://owner/name[@revision]",
        placeholder: "path",
        parse: (text: string) => text,
      },
    ],
  },
  async run({ base }, [path], { folder }) {
    const { inspectPath } = await import("../../audit/inspect/index.ts");
    return inspectPath(pathFrom(folder, path), optionalPaths(folder, { base }));
  },
  async render(result, view, { tensors = false, tree = false, depth }) {
    const { inspectView } = await import("../views/inspect.ts");
    const isTree = tree || depth !== undefined;
    return inspectView(result, view, tensors ? "tensors" : isTree ? { treeDepth: depth ?? Infinity } : "kinds");
  },
});
