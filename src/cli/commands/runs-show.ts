import { defineCommand } from "../command.ts";
import { pathFrom } from "../paths.ts";
import { runArgument, type StoreFlags, storeFlags, storeFolder } from "../store-flags.ts";
import type { ShownRun } from "../views/runs-show.ts";

interface Flags extends StoreFlags {
  readonly quick?: boolean;
}

export const runsShow = defineCommand<Flags, [run: string], ShownRun>({
  brief: "Everything that is recorded of a run, and its lineage verified",
  description:
    "Shows a run: state, losses, configuration with where each value came from, ledger, data, environment; and its lineage, each link by hash: what it made, its base, tokenizer and data, the adapter that it continued, and so on up. Broken links are named.",
  examples: [
    { line: "runs show runs/2026-11-24T18-30-05-3f9a", what: "by its folder" },
    { line: "runs show 3f9a", what: "by the end of its id" },
    { line: "runs show 3f9a --quick", what: "without reading weights and data again" },
  ],
  flags: {
    ...storeFlags,
    quick: { kind: "boolean", optional: true, withNegated: false, brief: "Look only whether inputs are there, not at their bytes" },
  },
  positional: { kind: "tuple", parameters: [runArgument("run")] },
  async run({ dir, quick = false }, [word], { folder }) {
    const runs = await import("../../runs/index.ts");
    const path = runs.findRun(storeFolder(folder, dir), word, pathFrom(folder, word));
    const record = await runs.readRunRecord(path);
    const [summary, result, lineage, changes] = await Promise.all([
      runs.summarizeRun(path),
      runs.readRunResult(path),
      runs.verifyLineage(path, { hashes: !quick }),
      runs.readChanges(path),
    ]);
    return { summary, record, result, lineage, changes };
  },
  async render(result, view) {
    const { runsShowView } = await import("../views/runs-show.ts");
    return runsShowView(result, view);
  },
});
