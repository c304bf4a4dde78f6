import { type AdapterKey, isEmbedding } from "../keys.ts";
import { defineRule } from "../types.ts";
import { sameShape } from "../values.ts";
import { listed, shapeText } from "../wording.ts";

/** Whether a tensor's sizes go with its module's weight [out, in]; Conv1D keeps that as [in, out]. */
function fits({ part, leaf }: AdapterKey, shape: readonly number[], weight: readonly number[]): boolean {
  if (part === "A") return weight.includes(shape[1] ?? -1);
  if (part === "B") return weight.includes(shape[0] ?? -1);
  if (part === "plain" && leaf === "weight") return sameShape(shape, weight);
  return true;
}

export const shapeMismatch = defineRule({
  id: "shape-mismatch",
  severity: "error",
  meaning: "Tensors have sizes that do not go with the modules of the base: it is not the base that the adapter was trained on.",
  remedy: "give the base that adapter_config.json names",
  needs: ["lora", "modules"],
  check({ modules, keys, weights }) {
    const known = new Map(modules.map(({ path, shape }) => [path, shape]));
    const wrong = keys.filter((key) => {
      const weight = known.get(key.module) ?? null;
      // Rows of embeddings have a rule of their own; only matrices of matrices are compared here.
      if (weight === null || weight.length !== 2 || isEmbedding(key.module)) return false;
      return !fits(key, weights.tensors.get(key.key)?.shape ?? [], weight);
    });
    const [first] = wrong;
    if (first === undefined) return [];
    const found = shapeText(weights.tensors.get(first.key)?.shape ?? null);
    return [
      {
        message: `${wrong.length} tensors do not fit the base: ${listed([first.key])} is ${found}, the weight there ${shapeText(known.get(first.module) ?? null)}`,
        tensors: wrong.map(({ key }) => key),
      },
    ];
  },
});
