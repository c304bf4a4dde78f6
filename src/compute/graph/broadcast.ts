import { check, elementCount, showShape } from "./node.ts";
import { reduceSum } from "./ops/reduce-sum.ts";
import { reshape } from "./ops/reshape.ts";
import type { Node, ReferenceTensor, Shape, Value } from "./types.ts";

/** The common shape of two operands by NumPy's rule. */
export function broadcastShape(a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const left = a[axis - rank + a.length] ?? 1;
    const right = b[axis - rank + b.length] ?? 1;
    check(left === right || left === 1 || right === 1, () => `${showShape(a)} and ${showShape(b)} do not broadcast`);
    return left === 1 ? right : left;
  });
}

/** Undoes a broadcast: sums `gradient` over the axes along which a value of `shape` was repeated. */
export function sumTo(gradient: Value, shape: Shape): Value {
  const added = gradient.shape.length - shape.length;
  const axes = gradient.shape.flatMap((length, axis) => (axis < added || (shape[axis - added] === 1 && length !== 1) ? [axis] : []));
  return reshape(axes.length === 0 ? gradient : reduceSum(gradient, axes, true), shape);
}

/** Row-major strides of `shape`. */
export function strides(shape: Shape): number[] {
  const result: number[] = new Array<number>(shape.length);
  let step = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    result[axis] = step;
    step *= shape[axis] as number;
  }
  return result;
}

/**
 * For each element of `shape` in row-major order, its offset in a tensor with `steps` per axis
 * (0 along an axis that is repeated).
 */
export function offsets(shape: Shape, steps: readonly number[]): Int32Array {
  const result = new Int32Array(elementCount(shape));
  const index = new Array<number>(shape.length).fill(0);
  let offset = 0;
  for (let i = 0; i < result.length; i++) {
    result[i] = offset;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      offset += steps[axis] as number;
      index[axis] = (index[axis] as number) + 1;
      if ((index[axis] as number) < (shape[axis] as number)) break;
      offset -= (steps[axis] as number) * (shape[axis] as number);
      index[axis] = 0;
    }
  }
  return result;
}

/** Offsets with which a tensor of shape `from` is read when repeated to `to`. */
export function broadcastOffsets(from: Shape, to: Shape): Int32Array {
  const own = strides(from);
  const added = to.length - from.length;
  return offsets(
    to,
    to.map((_, axis) => (axis < added || from[axis - added] === 1 ? 0 : (own[axis - added] as number))),
  );
}

/** Evaluates `f` on two operands, broadcast. */
export function evaluateBinary(inputs: readonly ReferenceTensor[], f: (a: number, b: number) => number): readonly ReferenceTensor[] {
  const [a, b] = inputs as readonly [ReferenceTensor, ReferenceTensor];
  const shape = broadcastShape(a.shape, b.shape);
  const left = broadcastOffsets(a.shape, shape);
  const right = broadcastOffsets(b.shape, shape);
  const data = Float64Array.from({ length: elementCount(shape) }, (_, i) =>
    f(a.data[left[i] as number] as number, b.data[right[i] as number] as number),
  );
  return [{ shape, data }];
}

/** Evaluates `f` on each element. */
export function evaluateUnary(inputs: readonly ReferenceTensor[], f: (x: number) => number): readonly ReferenceTensor[] {
  const [x] = inputs as readonly [ReferenceTensor];
  return [{ shape: x.shape, data: x.data.map((value) => f(value)) }];
}

/** The inputs of a node of two. */
export function pair(node: Node): readonly [Value, Value] {
  check(node.inputs.length === 2, () => `${node.op} has ${node.inputs.length} inputs instead of 2`);
  return node.inputs as readonly [Value, Value];
}
