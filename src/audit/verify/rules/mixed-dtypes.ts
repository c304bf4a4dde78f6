import { isLoraPart } from "../keys.ts";
import { defineRule } from "../types.ts";

export const mixedDtypes = defineRule({
  id: "mixed-dtypes",
  severity: "warning",
  meaning: "LoRA matrices of one file have different dtypes: a part of them was rounded on the way, or comes from another save.",
  remedy: "take the adapter from one save; load all of it with one dtype",
  needs: ["lora"],
  check({ keys, weights }) {
    const dtypes = new Map<string, string[]>();
    for (const { key } of keys.filter(isLoraPart)) {
      const dtype = weights.tensors.get(key)?.dtype ?? "?";
      dtypes.set(dtype, [...(dtypes.get(dtype) ?? []), key]);
    }
    if (dtypes.size < 2) return [];
    const counts = [...dtypes].map(([dtype, keysOf]) => `${keysOf.length} ${dtype}`);
    const fewest = [...dtypes.values()].reduce((least, own) => (own.length < least.length ? own : least));
    return [{ message: `LoRA tensors have different dtypes: ${counts.join(", ")}`, tensors: fewest }];
  },
});
