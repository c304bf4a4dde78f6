import { defineRule } from "../types.ts";
import { areText, tensorsText } from "../wording.ts";
import { expectedToMove } from "./frozen.ts";

/** In fp32 nearly every element of a trained row changes; below half of them, rounding decides what is learned. */
const MIN_SHARE = 0.5;

export const updatesRoundedAway = defineRule({
  id: "updates-rounded-away",
  severity: "warning",
  meaning:
    "Of a tensor in half precision only few elements changed since the earlier state (counted in rows that changed at all): updates smaller than half a step of the format are lost when they are added.",
  remedy: "keep fp32 masters of the full copies, or raise their learning rate",
  needs: ["earlier", "values"],
  async check(subject) {
    const { weights, earlier, values } = subject;
    const few: { key: string; share: number }[] = [];
    for (const key of expectedToMove(subject)) {
      const [now, then] = [weights.tensors.get(key), earlier.tensors.get(key)];
      if (now === undefined || then === undefined || (now.dtype !== "BF16" && now.dtype !== "F16")) continue;
      const difference = await values.compare(now, then);
      if (difference === null || difference.changed === 0) continue;
      const share = difference.changed / difference.elementsOfChangedRows;
      if (share < MIN_SHARE) few.push({ key, share });
    }
    if (few.length === 0) return [];
    const keys = few.map(({ key }) => key);
    const least = Math.min(...few.map(({ share }) => share));
    return [
      {
        message: `${tensorsText(keys)} ${areText(keys)} in half precision and changed in only ${(100 * least).toFixed(1)} % of the elements of the rows that moved`,
        tensors: keys,
      },
    ];
  },
});
