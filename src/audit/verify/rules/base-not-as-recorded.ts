import { defineRule } from "../types.ts";

export const baseNotAsRecorded = defineRule({
  id: "base-not-as-recorded",
  severity: "error",
  meaning:
    "The base model is another than the one that the adapter's record was trained on: sizes may agree, but what was learned was learned on other weights, and the output is off without a sign.",
  remedy: "give the base that the record names; if it was changed on purpose, go on with `heirloom continue ADAPTER --change base=PATH`",
  needs: ["record", "baseFingerprint", "base"],
  check({ record, baseFingerprint, base }) {
    const recorded = record.base.fingerprint;
    if (recorded.value === baseFingerprint.value) return [];
    if (recorded.method !== baseFingerprint.method)
      return [{ message: `the base has another size than the recorded one, then at ${record.base.path}` }];
    return [
      {
        message: `the weights at ${base.path} (${baseFingerprint.value.slice(0, 12)}…) are not the recorded ones (${recorded.value.slice(0, 12)}…, then at ${record.base.path})`,
      },
    ];
  },
});
