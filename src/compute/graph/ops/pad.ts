import { offsets, strides } from "../broadcast.ts";
import { applyOne, at, check, elementCount, resolveAxis, showShape } from "../node.ts";
import type { Op, ReferenceTensor, Shape, Value } from "../types.ts";
import { slice } from "./slice.ts";

type PadAttributes = { readonly axis: number; readonly before: number; readonly after: number };

const padded = (shape: Shape, { axis, before, after }: PadAttributes): Shape =>
  shape.map((length, i) => (i === axis ? before + length + after : length));

// y = x with `before` and `after` zeros along one axis; dx = dy without them.
export const padOp: Op<PadAttributes> = Object.freeze<Op<PadAttributes>>({
  name: "pad",
  infer([x], attributes) {
    const { shape, dtype } = x as Value;
    check(
      attributes.before >= 0 && attributes.after >= 0,
      () => `pad of ${showShape(shape)} by ${attributes.before} and ${attributes.after}`,
    );
    return [{ shape: padded(shape, attributes), dtype }];
  },
  withoutGradient: [],
  gradient({ inputs, attributes: { axis, before } }, [dy]) {
    return [slice(dy as Value, { axis, start: before, end: before + at(at(inputs, 0).shape, axis) })];
  },
  evaluate([input], { attributes }) {
    const x = input as ReferenceTensor;
    const shape = padded(x.shape, attributes);
    const steps = strides(shape);
    const first = at(steps, attributes.axis) * attributes.before;
    const data = new Float64Array(elementCount(shape));
    for (const [i, offset] of offsets(x.shape, steps).entries()) data[first + offset] = at(x.data, i);
    return [{ shape, data }];
  },
  onnx: {
    lower(node, emit) {
      const { axis, before, after } = node.attributes;
      const rank = at(node.inputs, 0).shape.length;
      const counts = new Array<number>(2 * rank).fill(0);
      counts[axis] = before;
      counts[rank + axis] = after;
      emit.node("Pad", [emit.name(at(node.inputs, 0)), emit.constant(counts, [2 * rank], "int64")], [emit.name(at(node.outputs, 0))]);
    },
  },
  recompute: "always",
});

/** `x` with zeros before and after it along `axis`. */
export function pad(x: Value, counts: { readonly axis: number; readonly before: number; readonly after: number }): Value {
  const axis = resolveAxis(counts.axis, x.shape.length);
  return counts.before === 0 && counts.after === 0 ? x : applyOne(padOp, [x], { axis, before: counts.before, after: counts.after });
}
