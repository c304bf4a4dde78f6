import { buildRouteMap } from "@stricli/core";
import type { CliContext } from "../command.ts";
import { dataCheck } from "./data-check.ts";
import { dataShow } from "./data-show.ts";

const DESCRIPTION = `Look at data before training on them.

Examples:
  heirloom data show rows.json --base models/m    # what a model will see, and what is trained
  heirloom data check rows.json --eval held.json  # what is wrong, all at once`;

/** The commands about data files, by their names. */
export const DATA_COMMANDS = { show: dataShow, check: dataCheck };

export const data = buildRouteMap<keyof typeof DATA_COMMANDS, CliContext>({
  routes: DATA_COMMANDS,
  docs: { brief: "Show what data files mean, and check them", fullDescription: DESCRIPTION },
});
