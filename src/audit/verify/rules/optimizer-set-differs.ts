import { diskKey } from "../../../ledger/index.ts";
import { defineRule } from "../types.ts";
import { areText, tensorsText } from "../wording.ts";

export const optimizerSetDiffers = defineRule({
  id: "optimizer-set-differs",
  severity: "error",
  meaning:
    "The optimizer's state covers other tensors than those that the adapter stores as trained: the strongest evidence in a file of what was frozen.",
  remedy: "go on from the last checkpoint whose optimizer holds them all, with the same tensors trainable",
  needs: ["optimizer"],
  check({ optimizer: { recovery, parameterCount, leftOut, withoutState } }) {
    if (parameterCount === 0) return [];
    if (recovery?.kind === "unknown") return [{ message: `the optimizer's parameters are not the stored tensors: ${recovery.reason}` }];
    const finding = (names: readonly string[], what: string) => {
      const keys = names.map(diskKey);
      return keys.length === 0 ? [] : [{ message: `${tensorsText(keys)} ${areText(keys)} ${what}`, tensors: keys }];
    };
    return [
      ...finding(leftOut, "in the file and not in the optimizer: frozen in this run"),
      ...finding(withoutState, "in the optimizer and never got a gradient"),
    ];
  },
});
