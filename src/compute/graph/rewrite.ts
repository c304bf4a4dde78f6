import { graph } from "./graph.ts";
import { apply, at, check } from "./node.ts";
import { OPS } from "./ops/index.ts";
import type { Graph, Node, Value } from "./types.ts";

/** What a rewriting puts in place of a node: new outputs, or null for "as it is, on the new inputs". */
export type Replacement = (node: Node, inputs: readonly Value[]) => readonly Value[] | null;

/**
 * Rebuilds a graph from its inputs on. Nodes that stay what they were are shared with the old graph. `given` maps
 * values to those that stand for them from the outset.
 */
export function rewrite(old: Graph, replace: Replacement, given: ReadonlyMap<Value, Value> = new Map()): Graph {
  const replaced = new Map<Value, Value>(given);
  const current = (value: Value): Value => replaced.get(value) ?? value;
  for (const node of old.nodes) {
    const inputs = node.inputs.map(current);
    const same = inputs.every((input, i) => input === node.inputs[i]);
    const outputs = replace(node, inputs) ?? (same ? node.outputs : apply(OPS[node.op], inputs, node.attributes));
    check(outputs.length === node.outputs.length, () => `${node.op} was replaced by ${outputs.length} values`);
    node.outputs.forEach((output, i) => {
      if (!given.has(output)) replaced.set(output, at(outputs, i));
    });
  }
  return graph({ outputs: Object.fromEntries(Object.entries(old.outputs).map(([name, value]) => [name, current(value)])) });
}
