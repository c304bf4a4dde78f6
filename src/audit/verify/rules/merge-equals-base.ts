import { defineRule } from "../types.ts";

export const mergeEqualsBase = defineRule({
  id: "merge-equals-base",
  severity: "error",
  meaning: "A model that should be a merge or a fine-tune has exactly the values of its base: the adapter was not applied.",
  remedy: "merge again (merge_and_unload returns the merged model: save that one), and compare the outputs",
  needs: ["model", "base", "baseWeights", "values"],
  async check({ weights, baseWeights, values }) {
    let compared = 0;
    for (const [name, tensor] of weights.tensors) {
      const original = baseWeights.tensors.get(name);
      if (original === undefined) continue;
      const difference = await values.compare(tensor, original);
      if (difference === null) continue;
      if (difference.changed > 0) return [];
      compared++;
    }
    return compared === 0 ? [] : [{ message: `all ${compared} tensors that could be compared are identical to the base` }];
  },
});
