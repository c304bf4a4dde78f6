import { baseTensor, copyKeys } from "../trained-keys.ts";
import { defineRule } from "../types.ts";
import { areText, tensorsText } from "../wording.ts";

export const copyIdenticalToBase = defineRule({
  id: "copy-identical-to-base",
  severity: "error",
  meaning: "A full copy has exactly the values of the base: it was stored, and never trained.",
  remedy: "check that the module is trainable before the first step: count the trainable parameters after every load",
  needs: ["lora", "baseWeights", "values"],
  async check(subject) {
    const identical: string[] = [];
    for (const key of copyKeys(subject)) {
      const stored = subject.weights.tensors.get(key.key);
      const original = baseTensor(subject.baseWeights, subject.base, key);
      if (stored === undefined || original === undefined) continue;
      const difference = await subject.values.compare(stored, original);
      if (difference?.changed === 0) identical.push(key.key);
    }
    if (identical.length === 0) return [];
    return [
      {
        message: `${tensorsText(identical)} ${areText(identical)} identical to the base: stored in full, never trained`,
        tensors: identical,
      },
    ];
  },
});
