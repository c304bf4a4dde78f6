import type { RunComparison } from "../../runs/index.ts";
import { defineCommand } from "../command.ts";
import { pathFrom } from "../paths.ts";
import { runArgument, type StoreFlags, storeFlags, storeFolder } from "../store-flags.ts";

export const runsCompare = defineCommand<StoreFlags, [a: string, b: string], RunComparison>({
  brief: "How two runs differ: configuration, data, environment, ledger, losses",
  description:
    "Compares two runs by their records and logs: each differing value of the configuration with where it came from, inputs by content, environment, trained tensors, losses side by side, and whether they made the same adapter. Exit code 0 whatever the answer.",
  examples: [
    { line: "runs compare 3f9a 81c0", what: "by the ends of their ids" },
    { line: "runs compare runs/a elsewhere/b --json", what: "every loss, for scripts" },
  ],
  flags: storeFlags,
  positional: { kind: "tuple", parameters: [runArgument("A"), runArgument("B")] },
  async run({ dir }, words, { folder }) {
    const { compareRuns, findRun } = await import("../../runs/index.ts");
    const [a, b] = words.map((word) => findRun(storeFolder(folder, dir), word, pathFrom(folder, word)));
    return compareRuns(a ?? "", b ?? "");
  },
  async render(result, view) {
    const { runsCompareView } = await import("../views/runs-compare.ts");
    return runsCompareView(result, view);
  },
});
