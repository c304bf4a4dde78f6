import { diskKey } from "../../../ledger/index.ts";
import { defineRule } from "../types.ts";
import { listed, shapeText } from "../wording.ts";

export const optimizerShapesDiffer = defineRule({
  id: "optimizer-shapes-differ",
  severity: "error",
  meaning:
    "The optimizer's groups have as many parameters as the adapter, in other shapes: another order or another set. torch compares only the lengths of groups, so the state would be loaded onto the wrong tensors.",
  remedy: "resume with the script that made the checkpoint: same targets, same modules_to_save, same learning-rate groups",
  needs: ["optimizer"],
  check({ optimizer: { recovery, isOrdered } }) {
    if (recovery?.kind !== "conflict") return [];
    const { index, name, expected, found } = recovery.conflict;
    const key = diskKey(name);
    const guess = isOrdered ? "" : "; without --base the order of tensors is only the usual one";
    return [
      {
        message: `the optimizer's groups fit in length and not in shape: index ${index} has state of ${shapeText(found)}, ${listed([key])} is ${shapeText(expected)}${guess}`,
        tensors: [key],
      },
    ];
  },
});
