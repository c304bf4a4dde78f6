import { offsets, strides } from "../broadcast.ts";
import { applyOne, at, check, elementCount, resolveAxis, showShape } from "../node.ts";
import type { Op, Shape, Value } from "../types.ts";
import { slice } from "./slice.ts";

type ConcatAttributes = { readonly axis: number };

function joined(shapes: readonly Shape[], axis: number): Shape {
  return at(shapes, 0).map((length, i) => (i === axis ? shapes.reduce((sum, shape) => sum + at(shape, axis), 0) : length));
}

// y = the x_i one after the other along one axis; dx_i = the part of dy that is x_i's.
export const concatOp: Op<ConcatAttributes> = Object.freeze<Op<ConcatAttributes>>({
  name: "concat",
  infer(inputs, { axis }) {
    const first = at(inputs, 0);
    for (const { shape, dtype } of inputs) {
      const fits =
        dtype === first.dtype && shape.length === first.shape.length && shape.every((length, i) => i === axis || length === first.shape[i]);
      check(fits, () => `concat of ${showShape(first.shape)} and ${showShape(shape)} along axis ${axis}`);
    }
    return [
      {
        shape: joined(
          inputs.map((x) => x.shape),
          axis,
        ),
        dtype: first.dtype,
      },
    ];
  },
  withoutGradient: [],
  gradient({ inputs, attributes: { axis } }, [dy]) {
    let end = 0;
    return inputs.map((x) => {
      const start = end;
      end += at(x.shape, axis);
      return slice(dy as Value, { axis, start, end });
    });
  },
  evaluate(inputs, { attributes: { axis } }) {
    const shape = joined(
      inputs.map((x) => x.shape),
      axis,
    );
    const steps = strides(shape);
    const data = new Float64Array(elementCount(shape));
    let first = 0;
    for (const x of inputs) {
      for (const [i, offset] of offsets(x.shape, steps).entries()) data[first + offset] = at(x.data, i);
      first += at(steps, axis) * at(x.shape, axis);
    }
    return [{ shape, data }];
  },
  onnx: { opType: "Concat", attributes: (node) => ({ axis: { int: node.attributes.axis } }) },
  recompute: "cheap",
});

/** The tensors `xs` one after the other along `axis`. */
export function concat(xs: readonly Value[], axis: number): Value {
  const first = at(xs, 0);
  return xs.length === 1 ? first : applyOne(concatOp, xs, { axis: resolveAxis(axis, first.shape.length) });
}
