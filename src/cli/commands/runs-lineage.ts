import type { Lineage } from "../../runs/index.ts";
import { defineCommand } from "../command.ts";
import { pathFrom } from "../paths.ts";
import { runArgument, type StoreFlags, storeFlags, storeFolder } from "../store-flags.ts";

interface Flags extends StoreFlags {
  readonly quick?: boolean;
}

export const runsLineage = defineCommand<Flags, [run: string], Lineage>({
  brief: "The chain of hashes behind a run or a merged model, link by link",
  description:
    "Verifies what a run, or a model that heirloom merged, was made from: weights, base, the adapter that was merged or continued, the run that made it, its data, and so on up. Broken links are named, and exit 20.",
  examples: [
    { line: "runs lineage models/merged", what: "of a merged model" },
    { line: "runs lineage 3f9a --quick", what: "of a run, without reading weights and data" },
  ],
  flags: {
    ...storeFlags,
    quick: { kind: "boolean", optional: true, withNegated: false, brief: "Look only whether things are there, not at their bytes" },
  },
  positional: { kind: "tuple", parameters: [runArgument("run")] },
  async run({ dir, quick = false }, [word], { folder }) {
    const runs = await import("../../runs/index.ts");
    const named = pathFrom(folder, word);
    const path = (await runs.hasMergeRecord(named)) ? named : runs.findRun(storeFolder(folder, dir), word, named);
    return runs.verifyLineage(path, { hashes: !quick });
  },
  exitCode: ({ ok }) => (ok ? 0 : 20),
  async render(result, view) {
    const { lineageView } = await import("../views/runs-show.ts");
    return lineageView(result, view);
  },
});
