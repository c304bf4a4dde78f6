import type { RunState } from "../../runs/index.ts";
import { defineCommand } from "../command.ts";
import { type StoreFlags, storeFlags, storeRuns } from "../store-flags.ts";
import type { RunList } from "../views/runs-list.ts";
import { wholeNumber } from "../whole-number.ts";

interface Flags extends StoreFlags {
  readonly state?: readonly RunState[];
  readonly limit?: number;
  readonly oldest?: boolean;
}

// runs' own list, which loading here would slow every command's start.
const STATES = ["running", "finished", "failed", "interrupted", "dead", "unreadable"] as const satisfies readonly RunState[];

export const runsList = defineCommand<Flags, [], RunList>({
  brief: "The runs of a folder: state, losses, adapter and parent",
  description:
    "Lists the runs of a folder, the newest first. Their own files are read, and an index beside them saves reading those that did not change; it can be deleted at any time.",
  examples: [
    { line: "runs list", what: "those in ./runs" },
    { line: "runs list --state failed --state dead --dir /data/runs", what: "what went wrong elsewhere" },
    { line: "runs list --limit 10 --json", what: "the last ten, for scripts" },
  ],
  flags: {
    ...storeFlags,
    state: { kind: "enum", values: STATES, optional: true, variadic: true, brief: "Only runs in this state; may be given several times" },
    limit: { kind: "parsed", parse: wholeNumber, optional: true, brief: "At most so many", placeholder: "count" },
    oldest: { kind: "boolean", optional: true, withNegated: false, brief: "The oldest first" },
  },
  positional: { kind: "tuple", parameters: [] },
  async run({ dir, state, limit, oldest = false }, _args, { folder }) {
    const found = await storeRuns(folder, dir);
    const newest = found.runs.filter((run) => state === undefined || state.includes(run.state));
    const runs = oldest ? newest.reverse() : newest;
    return { dir: found.dir, isFiltered: state !== undefined, total: runs.length, runs: limit === undefined ? runs : runs.slice(0, limit) };
  },
  async render(result, view) {
    const { runsListView } = await import("../views/runs-list.ts");
    return runsListView(result, view);
  },
});
