import { broadcastOffsets } from "../broadcast.ts";
import { addAt, applyOne, at, check, elementCount, resolveAxis } from "../node.ts";
import type { Op, ReferenceTensor, Shape, Value } from "../types.ts";
import { expand } from "./expand.ts";
import { reshape } from "./reshape.ts";

type ReduceSumAttributes = { readonly axes: readonly number[]; readonly keepDims: boolean };

const keptShape = (shape: Shape, axes: readonly number[]): Shape => shape.map((length, axis) => (axes.includes(axis) ? 1 : length));

function reducedShape(shape: Shape, { axes, keepDims }: ReduceSumAttributes): Shape {
  return keepDims ? keptShape(shape, axes) : shape.filter((_, axis) => !axes.includes(axis));
}

// y = Σ x over axes; dx = dy repeated along them.
export const reduceSumOp: Op<ReduceSumAttributes> = Object.freeze<Op<ReduceSumAttributes>>({
  name: "reduceSum",
  infer([x], attributes) {
    check(new Set(attributes.axes).size === attributes.axes.length, () => `reduceSum names an axis twice: ${attributes.axes.join(",")}`);
    return [{ shape: reducedShape((x as Value).shape, attributes), dtype: (x as Value).dtype }];
  },
  withoutGradient: [],
  gradient(node, [dy]) {
    const { shape } = at(node.inputs, 0);
    return [expand(reshape(dy as Value, keptShape(shape, node.attributes.axes)), shape)];
  },
  evaluate([input], { attributes }) {
    const x = input as ReferenceTensor;
    const kept = keptShape(x.shape, attributes.axes);
    const data = new Float64Array(elementCount(kept));
    for (const [i, offset] of broadcastOffsets(kept, x.shape).entries()) addAt(data, offset, at(x.data, i));
    return [{ shape: reducedShape(x.shape, attributes), data }];
  },
  onnx: {
    lower(node, emit) {
      const { axes, keepDims } = node.attributes;
      const inputs = [emit.name(at(node.inputs, 0)), emit.constant(axes, [axes.length], "int64")];
      emit.node("ReduceSum", inputs, [emit.name(at(node.outputs, 0))], { keepdims: { int: keepDims ? 1 : 0 } });
    },
  },
  recompute: "cheap",
});

/** Sum over `axes`; with `keepDims` they stay with length 1. */
export function reduceSum(x: Value, axes: readonly number[], keepDims = false): Value {
  const resolved = axes.map((axis) => resolveAxis(axis, x.shape.length));
  return axes.length === 0 ? x : applyOne(reduceSumOp, [x], { axes: Object.freeze(resolved), keepDims });
}
