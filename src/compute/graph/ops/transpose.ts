import { offsets, strides } from "../broadcast.ts";
import { applyOne, at, check, showShape } from "../node.ts";
import type { Op, ReferenceTensor, Value } from "../types.ts";

type TransposeAttributes = { readonly perm: readonly number[] };

// y's axis i is x's axis perm[i]; dx = transpose(dy, inverse of perm).
export const transposeOp: Op<TransposeAttributes> = Object.freeze<Op<TransposeAttributes>>({
  name: "transpose",
  infer([x], { perm }) {
    const { shape, dtype } = x as Value;
    check(
      perm.length === shape.length && shape.every((_, axis) => perm.includes(axis)),
      () => `transpose of ${showShape(shape)} by ${showShape(perm)}`,
    );
    return [{ shape: perm.map((axis) => at(shape, axis)), dtype }];
  },
  withoutGradient: [],
  gradient({ attributes: { perm } }, [dy]) {
    return [
      transpose(
        dy as Value,
        perm.map((_, axis) => perm.indexOf(axis)),
      ),
    ];
  },
  evaluate([input], { attributes: { perm } }) {
    const x = input as ReferenceTensor;
    const steps = strides(x.shape);
    const shape = perm.map((axis) => at(x.shape, axis));
    const from = offsets(
      shape,
      perm.map((axis) => at(steps, axis)),
    );
    return [{ shape, data: Float64Array.from(from, (offset) => at(x.data, offset)) }];
  },
  onnx: { opType: "Transpose", attributes: (node) => ({ perm: { ints: node.attributes.perm } }) },
  recompute: "cheap",
});

/** Axes in another order: axis `i` of the result is axis `perm[i]` of `x`. */
export function transpose(x: Value, perm: readonly number[]): Value {
  return applyOne(transposeOp, [x], { perm: Object.freeze([...perm]) });
}
