import { buildRouteMap } from "@stricli/core";
import type { CliContext } from "../command.ts";
import { runsCompare } from "./runs-compare.ts";
import { runsLineage } from "./runs-lineage.ts";
import { runsList } from "./runs-list.ts";
import { runsShow } from "./runs-show.ts";
import { runsTree } from "./runs-tree.ts";

const DESCRIPTION = `Look at the runs of a folder.

Examples:
  heirloom runs list               # state, losses, adapters
  heirloom runs show 3f9a          # everything about one, and its lineage
  heirloom runs compare 3f9a 81c0  # how two differ
  heirloom runs lineage merged     # the chain of hashes behind a merged model`;

/** The commands about runs that are recorded, by their names. */
export const RUNS_COMMANDS = { list: runsList, show: runsShow, tree: runsTree, compare: runsCompare, lineage: runsLineage };

export const runs = buildRouteMap<keyof typeof RUNS_COMMANDS, CliContext>({
  routes: RUNS_COMMANDS,
  docs: { brief: "List, show, relate and compare runs", fullDescription: DESCRIPTION },
});
