import { defineRule } from "../types.ts";
import { listed } from "../wording.ts";

export const finalStateMissing = defineRule({
  id: "final-state-missing",
  severity: "error",
  meaning:
    "The run came to its end, and files that its result.json names are no longer there: checkpoints can still be judged, and what the run was made for is gone or cannot be loaded.",
  remedy: "put the files back, or make them again: `heirloom resume RUN` from the last checkpoint",
  needs: ["run"],
  check({ run: { output, missing, recorded } }) {
    if (missing.length === 0) return [];
    if (missing.length === recorded) return [{ message: `${output}/, which result.json names, is not there` }];
    return [{ message: `result.json names files of ${output}/ that are not there: ${listed(missing)}` }];
  },
});
