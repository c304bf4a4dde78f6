import { defineRule } from "../types.ts";
import { listed } from "../wording.ts";

export const loraBZero = defineRule({
  id: "lora-b-zero",
  severity: "error",
  meaning:
    "lora_B is all zero, as a new adapter has it: the module was never trained, or loaded weights were thrown away by wrapping the model again.",
  remedy: "check that the trained adapter was loaded, not a new one made over it, and that the module got gradients",
  needs: ["lora", "values"],
  async check({ keys, weights, values }) {
    const matrices = keys.filter(({ part }) => part === "B");
    const zero: string[] = [];
    for (const { key } of matrices) if ((await values.scan(weights, key))?.isZero === true) zero.push(key);
    if (zero.length === 0) return [];
    const message =
      zero.length === matrices.length
        ? `${zero.length === 1 ? "the only lora_B matrix is" : `all ${zero.length} lora_B matrices are`} zero: this is an untrained adapter`
        : `${zero.length} of ${matrices.length} lora_B matrices are zero: ${listed(zero)}`;
    return [{ message, tensors: zero }];
  },
});
