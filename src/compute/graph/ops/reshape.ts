import { applyOne, at, check, elementCount, sameShape, showShape } from "../node.ts";
import type { Op, Shape, Value } from "../types.ts";

type ReshapeAttributes = { readonly shape: Shape };

// y has x's elements in the same row-major order; dx = reshape(dy).
// A view for onnxruntime, except where it names a graph output: then it copies.
export const reshapeOp: Op<ReshapeAttributes> = Object.freeze<Op<ReshapeAttributes>>({
  name: "reshape",
  infer([x], { shape }) {
    const from = x as Value;
    check(elementCount(from.shape) === elementCount(shape), () => `reshape of ${showShape(from.shape)} to ${showShape(shape)}`);
    return [{ shape, dtype: from.dtype }];
  },
  withoutGradient: [],
  gradient: (node, [dy]) => [reshape(dy as Value, at(node.inputs, 0).shape)],
  evaluate: ([x], { attributes }) => [{ shape: attributes.shape, data: (x as { data: Float64Array }).data }],
  onnx: {
    lower(node, emit) {
      const shape = emit.constant(node.attributes.shape, [node.attributes.shape.length], "int64");
      emit.node("Reshape", [emit.name(at(node.inputs, 0)), shape], [emit.name(at(node.outputs, 0))]);
    },
  },
  recompute: "always",
});

/** The same elements under another shape. */
export function reshape(x: Value, shape: Shape): Value {
  return sameShape(x.shape, shape) ? x : applyOne(reshapeOp, [x], { shape: Object.freeze([...shape]) });
}
