import { offsets, strides } from "../broadcast.ts";
import { applyOne, at, check, resolveAxis, showShape } from "../node.ts";
import type { Op, ReferenceTensor, Shape, Value } from "../types.ts";
import { pad } from "./pad.ts";

type SliceAttributes = { readonly axis: number; readonly start: number; readonly end: number };

const sliced = (shape: Shape, { axis, start, end }: SliceAttributes): Shape =>
  shape.map((length, i) => (i === axis ? end - start : length));

// y = x[..., start:end, ...] along one axis; dx = dy with zeros before and after.
export const sliceOp: Op<SliceAttributes> = Object.freeze<Op<SliceAttributes>>({
  name: "slice",
  infer([x], attributes) {
    const { shape, dtype } = x as Value;
    const { axis, start, end } = attributes;
    check(0 <= start && start < end && end <= at(shape, axis), () => `slice ${start} to ${end} of axis ${axis} of ${showShape(shape)}`);
    return [{ shape: sliced(shape, attributes), dtype }];
  },
  withoutGradient: [],
  gradient({ inputs, attributes: { axis, start, end } }, [dy]) {
    return [pad(dy as Value, { axis, before: start, after: at(at(inputs, 0).shape, axis) - end })];
  },
  evaluate([input], { attributes }) {
    const x = input as ReferenceTensor;
    const steps = strides(x.shape);
    const shape = sliced(x.shape, attributes);
    const first = at(steps, attributes.axis) * attributes.start;
    return [{ shape, data: Float64Array.from(offsets(shape, steps), (offset) => at(x.data, first + offset)) }];
  },
  onnx: {
    lower(node, emit) {
      const { axis, start, end } = node.attributes;
      const bounds = [start, end, axis].map((bound) => emit.constant([bound], [1], "int64"));
      emit.node("Slice", [emit.name(at(node.inputs, 0)), ...bounds], [emit.name(at(node.outputs, 0))]);
    },
  },
  recompute: "always",
});

/** Positions `start` (inclusive) to `end` (exclusive) of `axis`. */
export function slice(x: Value, bounds: { readonly axis: number; readonly start: number; readonly end: number }): Value {
  const axis = resolveAxis(bounds.axis, x.shape.length);
  return applyOne(sliceOp, [x], { axis, start: bounds.start, end: bounds.end });
}
