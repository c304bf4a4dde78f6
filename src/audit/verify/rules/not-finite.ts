import { defineRule } from "../types.ts";
import { counted, listed } from "../wording.ts";

export const notFinite = defineRule({
  id: "not-finite",
  severity: "error",
  meaning: "Values are NaN or infinite: training diverged, and everything that is computed with them is lost.",
  remedy: "go back to the last checkpoint without them, with a smaller learning rate or gradient clipping",
  needs: ["values"],
  async check({ weights, values }) {
    const bad: string[] = [];
    let count = 0;
    for (const name of weights.tensors.keys()) {
      const scan = await values.scan(weights, name);
      if (scan === null || scan.notFinite === 0) continue;
      bad.push(name);
      count += scan.notFinite;
    }
    if (bad.length === 0) return [];
    return [
      {
        message: `${counted(count, "value")} in ${counted(bad.length, "tensor")} ${count === 1 ? "is" : "are"} NaN or infinite: ${listed(bad)}`,
        tensors: bad,
      },
    ];
  },
});
