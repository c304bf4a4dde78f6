import { printable } from "../../../formats/index.ts";
import { defineRule } from "../types.ts";

/** Endings that say that a repository holds quantized weights. */
const QUANTIZED_NAME = /(?:^|[-_./])(?:bnb-)?(?:4bit|int4|nf4|fp4|8bit|int8|gptq|awq|hqq)(?:$|[-_./])/i;

export const baseQuantization = defineRule({
  id: "base-quantization",
  severity: "warning",
  meaning:
    "The adapter names a quantized base and a full-precision one was given, or the reverse. It was trained on top of the rounded weights; on others, or merged into them, it computes something slightly different.",
  remedy: "evaluate on the base that was given before relying on it; merge into the weights that the adapter was trained on, dequantized",
  needs: ["adapter", "base"],
  check({ adapter, base }) {
    const named = adapter.baseModelNameOrPath;
    if (named === null) return [];
    const isNamed = QUANTIZED_NAME.test(named);
    if (isNamed === (base.quantization !== null)) return [];
    const given = base.quantization === null ? "not quantized" : `quantized (${printable(base.quantization, 40)})`;
    // A plain name says nothing of how the base was loaded: load_in_4bit leaves no trace in it.
    if (!isNamed) return [];
    return [{ message: `the adapter names ${printable(named)}, a quantized base; the base given is ${given}` }];
  },
});
