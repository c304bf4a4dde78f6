import { applyOne, check, elementCount, showShape } from "../node.ts";
import type { Dtype, Op, Shape, Value } from "../types.ts";

type ConstantAttributes = { readonly values: readonly number[]; readonly shape: Shape; readonly dtype: string };

// A tensor whose values are part of the graph.
export const constantOp: Op<ConstantAttributes> = Object.freeze<Op<ConstantAttributes>>({
  name: "constant",
  infer(_, { values, shape, dtype }) {
    check(values.length === elementCount(shape), () => `${values.length} values for a constant of shape ${showShape(shape)}`);
    return [{ shape, dtype: dtype as Dtype }];
  },
  withoutGradient: "all",
  evaluate: (_, { attributes }) => [{ shape: attributes.shape, data: Float64Array.from(attributes.values) }],
  onnx: "none",
  recompute: "always",
});

/** A small tensor that is written into the graph; what is large belongs in an input. */
export function constant(values: ArrayLike<number>, shape: Shape, dtype: Dtype = "float32"): Value {
  return applyOne(constantOp, [], { values: Object.freeze(Array.from(values)), shape, dtype });
}
