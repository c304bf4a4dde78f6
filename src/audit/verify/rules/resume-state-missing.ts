import { defineRule } from "../types.ts";
import { listed } from "../wording.ts";

export const resumeStateMissing = defineRule({
  id: "resume-state-missing",
  severity: "warning",
  meaning: "Files are missing that a resume needs: it would start with a new optimizer, schedule or order of data, without saying so.",
  remedy: "save with save_only_model=False; with DeepSpeed or FSDP the state lies in folders of its own",
  needs: ["trainer"],
  check({ trainer }) {
    const { missing, unread } = trainer;
    return [
      ...(missing.length === 0 ? [] : [{ message: `not there: ${listed(missing)}` }]),
      ...(unread.length === 0 ? [] : [{ message: `could not be read: ${listed(unread)}` }]),
    ];
  },
});
