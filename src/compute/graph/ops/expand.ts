import { broadcastOffsets, broadcastShape, sumTo } from "../broadcast.ts";
import { applyOne, at, check, sameShape, showShape } from "../node.ts";
import type { Op, ReferenceTensor, Shape, Value } from "../types.ts";
import { constant } from "./constant.ts";

type ExpandAttributes = { readonly shape: Shape };

// y = x repeated to a shape by NumPy's broadcasting; dx = dy summed over what was repeated.
export const expandOp: Op<ExpandAttributes> = Object.freeze<Op<ExpandAttributes>>({
  name: "expand",
  infer([x], { shape }) {
    const from = x as Value;
    check(sameShape(broadcastShape(from.shape, shape), shape), () => `expand of ${showShape(from.shape)} to ${showShape(shape)}`);
    return [{ shape, dtype: from.dtype }];
  },
  withoutGradient: [],
  gradient: (node, [dy]) => [sumTo(dy as Value, at(node.inputs, 0).shape)],
  evaluate([input], { attributes: { shape } }) {
    const x = input as ReferenceTensor;
    return [{ shape, data: Float64Array.from(broadcastOffsets(x.shape, shape), (offset) => at(x.data, offset)) }];
  },
  onnx: {
    lower(node, emit) {
      const { shape } = node.attributes;
      emit.node("Expand", [emit.name(at(node.inputs, 0)), emit.constant(shape, [shape.length], "int64")], [emit.name(at(node.outputs, 0))]);
    },
  },
  recompute: "always",
});

/** `x` repeated to `shape`. */
export function expand(x: Value, shape: Shape): Value {
  return sameShape(x.shape, shape) ? x : applyOne(expandOp, [x], { shape: Object.freeze([...shape]) });
}

/** A float32 tensor of zeros. */
export function zeros(shape: Shape): Value {
  return expand(
    constant(
      [0],
      shape.map(() => 1),
    ),
    shape,
  );
}
