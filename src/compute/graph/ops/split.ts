import { offsets, strides } from "../broadcast.ts";
import { apply, at, check, resolveAxis, showShape } from "../node.ts";
import type { Op, ReferenceTensor, Shape, Value } from "../types.ts";
import { concat } from "./concat.ts";
import { zeros } from "./expand.ts";

type SplitAttributes = { readonly axis: number; readonly sizes: readonly number[] };

const parts = (shape: Shape, { axis, sizes }: SplitAttributes): readonly Shape[] =>
  sizes.map((size) => shape.map((length, i) => (i === axis ? size : length)));

// y_i = consecutive parts of x along one axis; dx = concat(dy_i), zeros for a part without gradient.
export const splitOp: Op<SplitAttributes> = Object.freeze<Op<SplitAttributes>>({
  name: "split",
  infer([x], attributes) {
    const { shape, dtype } = x as Value;
    const { axis, sizes } = attributes;
    const total = sizes.reduce((sum, size) => sum + size, 0);
    check(
      total === at(shape, axis) && sizes.every((size) => size > 0),
      () => `split of axis ${axis} of ${showShape(shape)} into ${showShape(sizes)}`,
    );
    return parts(shape, attributes).map((part) => ({ shape: part, dtype }));
  },
  withoutGradient: [],
  gradient({ outputs, attributes: { axis } }, gradients) {
    return [
      concat(
        outputs.map((output, i) => gradients[i] ?? zeros(output.shape)),
        axis,
      ),
    ];
  },
  evaluate([input], { attributes }) {
    const x = input as ReferenceTensor;
    const steps = strides(x.shape);
    let first = 0;
    return parts(x.shape, attributes).map((shape) => {
      const from = first;
      first += at(steps, attributes.axis) * at(shape, attributes.axis);
      return { shape, data: Float64Array.from(offsets(shape, steps), (offset) => at(x.data, from + offset)) };
    });
  },
  onnx: {
    lower(node, emit) {
      const { axis, sizes } = node.attributes;
      const inputs = [emit.name(at(node.inputs, 0)), emit.constant(sizes, [sizes.length], "int64")];
      emit.node(
        "Split",
        inputs,
        node.outputs.map((output) => emit.name(output)),
        { axis: { int: axis } },
      );
    },
  },
  recompute: "always",
});

/** Consecutive parts of `x` along `axis`, of the given sizes. */
export function split(x: Value, options: { readonly axis: number; readonly sizes: readonly number[] }): readonly Value[] {
  const axis = resolveAxis(options.axis, x.shape.length);
  return options.sizes.length === 1 ? [x] : apply(splitOp, [x], { axis, sizes: Object.freeze([...options.sizes]) });
}
