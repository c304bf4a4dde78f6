import { ancestors } from "./graph.ts";
import { at, check, checkShape } from "./node.ts";
import { add } from "./ops/add.ts";
import { OPS } from "./ops/index.ts";
import type { Node, Op, Value } from "./types.ts";

/**
 * Reverse-mode differentiation: the gradients of Σ seeds · outputs with respect to each of `wrt`, as new nodes on the
 * same graph; null where nothing depends on it. It knows no op by name: the rules are in the ops' records.
 */
export function gradients(outputs: readonly Value[], seeds: readonly Value[], wrt: readonly Value[]): readonly (Value | null)[] {
  check(outputs.length === seeds.length, () => `${seeds.length} seeds for ${outputs.length} outputs`);
  const nodes = ancestors(outputs);
  const reached = dependents(nodes, wrt);
  const sums = new Map<Value, Value>();
  const accumulate = (value: Value, gradient: Value): void => {
    checkShape(`gradient of an input of ${value.node.op}`, gradient, value.shape);
    const sum = sums.get(value);
    sums.set(value, sum === undefined ? gradient : add(sum, gradient));
  };
  outputs.forEach((output, i) => {
    if (reached.has(output)) accumulate(output, at(seeds, i));
  });
  for (const node of [...nodes].reverse()) {
    const arrived = node.outputs.map((output) => sums.get(output) ?? null);
    if (
      arrived.every((gradient) => gradient === null) ||
      !node.inputs.some((input, i) => reached.has(input) && isDifferentiable(OPS[node.op], i))
    )
      continue;
    const results = gradientsOfInputs(node, arrived);
    node.inputs.forEach((input, i) => {
      const gradient = results[i] ?? null;
      if (gradient !== null && reached.has(input)) accumulate(input, gradient);
    });
  }
  return wrt.map((value) => sums.get(value) ?? null);
}

/** The values that depend on `wrt` through inputs that have gradients, `wrt` among them. */
function dependents(nodes: readonly Node[], wrt: readonly Value[]): ReadonlySet<Value> {
  const reached = new Set(wrt);
  for (const node of nodes) {
    if (node.inputs.some((input, i) => reached.has(input) && isDifferentiable(OPS[node.op], i)))
      for (const output of node.outputs) reached.add(output);
  }
  return reached;
}

function isDifferentiable({ withoutGradient }: Op, position: number): boolean {
  return withoutGradient !== "all" && !withoutGradient.includes(position);
}

function gradientsOfInputs(node: Node, arrived: readonly (Value | null)[]): readonly (Value | null)[] {
  const op = OPS[node.op];
  for (const position of op.auxiliaryOutputs ?? [])
    check((arrived[position] ?? null) === null, () => `a gradient arrives at output ${position} of ${op.name}, which has none`);
  check(op.gradient !== undefined, () => `${op.name} has no gradient rule`);
  const results = op.gradient(node, arrived);
  check(results.length === node.inputs.length, () => `${op.name} gives ${results.length} gradients for ${node.inputs.length} inputs`);
  for (const [i, result] of results.entries()) {
    check((result !== null) === isDifferentiable(op, i), () => `${op.name} and its declaration differ on the gradient of input ${i}`);
  }
  return results;
}
