import { InternalError } from "../../core/index.ts";
import type { Attributes, Node, Op, Shape, TensorType, Value } from "./types.ts";

let nextId = 0;

/** One application of `op`: checks the inputs and gives the outputs, all frozen. */
export function apply<A extends Attributes>(op: Op<A>, inputs: readonly Value[], attributes: A): readonly Value[] {
  const types = op.infer(inputs, attributes);
  const outputs: Value[] = [];
  const node: Node<A> = { op: op.name, inputs: Object.freeze([...inputs]), attributes: Object.freeze(attributes), outputs };
  types.forEach((type, index) => {
    outputs.push(Object.freeze({ id: nextId++, node, index, shape: Object.freeze([...type.shape]), dtype: type.dtype }));
  });
  Object.freeze(outputs);
  Object.freeze(node);
  return outputs;
}

/** As {@link apply}, for an op with one output. */
export function applyOne<A extends Attributes>(op: Op<A>, inputs: readonly Value[], attributes: A): Value {
  return at(apply(op, inputs, attributes), 0);
}

/** `list[index]`, which must be there. */
export function at<T>(list: ArrayLike<T>, index: number): T {
  if (index < 0 || index >= list.length) throw new InternalError(`position ${index} of a list of ${list.length}`);
  return list[index] as T;
}

export function addAt(list: Float64Array, index: number, value: number): void {
  list[index] = at(list, index) + value;
}

/** How many elements a tensor of `shape` has. */
export function elementCount(shape: Shape): number {
  return shape.reduce((product, length) => product * length, 1);
}

/** Whether two shapes are equal. */
export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((length, axis) => length === b[axis]);
}

/** A shape as text: `[2,3]`. */
export function showShape(shape: Shape): string {
  return `[${shape.join(",")}]`;
}

/** Throws the `InternalError` of a graph that was built wrongly. */
export function check(condition: boolean, message: () => string): asserts condition {
  if (!condition) throw new InternalError(`graph: ${message()}`);
}

export function checkRank(what: string, type: TensorType, rank: number): void {
  check(type.shape.length === rank, () => `${what} must have ${rank} axes, has shape ${showShape(type.shape)}`);
}

export function checkShape(what: string, type: TensorType, shape: Shape): void {
  check(sameShape(type.shape, shape), () => `${what} must be ${showShape(shape)}, is ${showShape(type.shape)}`);
}

export function checkDtype(what: string, type: TensorType, ...allowed: readonly TensorType["dtype"][]): void {
  check(allowed.includes(type.dtype), () => `${what} must be ${allowed.join(" or ")}, is ${type.dtype}`);
}

/** `axis` counted from the front; negative ones count from the end. */
export function resolveAxis(axis: number, rank: number): number {
  const resolved = axis < 0 ? axis + rank : axis;
  check(Number.isInteger(resolved) && resolved >= 0 && resolved < rank, () => `axis ${axis} of ${rank}`);
  return resolved;
}
