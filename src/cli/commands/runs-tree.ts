import { defineCommand } from "../command.ts";
import { type StoreFlags, storeFlags, storeRuns } from "../store-flags.ts";
import type { RunTree } from "../views/runs-tree.ts";

export const runsTree = defineCommand<StoreFlags, [], RunTree>({
  brief: "The runs of a folder by descent: which continued which",
  examples: [
    { line: "runs tree", what: "those in ./runs" },
    { line: "runs tree --dir /data/runs --json", what: "for scripts" },
  ],
  flags: storeFlags,
  positional: { kind: "tuple", parameters: [] },
  async run({ dir }, _args, { folder }) {
    const { runForest } = await import("../../runs/index.ts");
    const found = await storeRuns(folder, dir);
    return { dir: found.dir, ...runForest(found.runs) };
  },
  async render(result, view) {
    const { runsTreeView } = await import("../views/runs-tree.ts");
    return runsTreeView(result, view);
  },
});
