import { at, check, showShape } from "./node.ts";
import { OPS } from "./ops/index.ts";
import type { Attributes, AttributeValue, Graph, Node, Value } from "./types.ts";

/** The order of creation, in which a node comes after all that it is computed from. */
const nodeOrder = (node: Node): number => at(node.outputs, 0).id;

/** The nodes that `values` are computed from, their own included, in topological order. */
export function ancestors(values: readonly Value[]): readonly Node[] {
  const found = new Set<Node>();
  const open = values.map((value) => value.node);
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    if (found.has(node)) continue;
    found.add(node);
    for (const { node: source } of node.inputs) open.push(source);
  }
  return [...found].sort((a, b) => nodeOrder(a) - nodeOrder(b));
}

/** The graph that computes `outputs`: its inputs are found by walking, what they do not need is left out. */
export function graph({ outputs }: { readonly outputs: Readonly<Record<string, Value>> }): Graph {
  const all = ancestors(Object.values(outputs));
  const inputs: Record<string, Value> = {};
  for (const node of all) {
    if (node.op !== "input") continue;
    const name = String(node.attributes["name"]);
    check(!(name in inputs), () => `two inputs are named ${name}`);
    inputs[name] = at(node.outputs, 0);
  }
  return Object.freeze({
    inputs: Object.freeze(inputs),
    outputs: Object.freeze({ ...outputs }),
    nodes: Object.freeze(all.filter((node) => node.op !== "input")),
  });
}

/** How often each value is used, by nodes and as an output. */
export function useCounts({ nodes, outputs }: Graph): ReadonlyMap<Value, number> {
  const counts = new Map<Value, number>();
  for (const value of [...nodes.flatMap((node) => node.inputs), ...Object.values(outputs)]) counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts;
}

/** Additions and multiplications (2mnk) of all matrix products in the graph. */
export function countFlops({ nodes }: Graph): number {
  return nodes.reduce((sum, node) => sum + (OPS[node.op].flops?.(node) ?? 0), 0);
}

/** Constants longer than this are printed by their length. */
const PRINTED_VALUES = 8;

/** The graph as text: a line per input, node and output, in order; equal graphs give equal text. */
export function printGraph({ inputs, outputs, nodes }: Graph): string {
  const names = new Map<Value, string>();
  for (const [name, value] of Object.entries(inputs)) names.set(value, name);
  const lines = Object.entries(inputs).map(([name, value]) => `input ${name}: ${showType(value)}`);
  for (const node of nodes) {
    const results = node.outputs.map((value) => {
      const name = `%${names.size - Object.keys(inputs).length}`;
      names.set(value, name);
      return `${name}: ${showType(value)}`;
    });
    const operands = node.inputs.map((value) => names.get(value)).join(", ");
    lines.push(`${results.join(", ")} = ${node.op}(${operands})${showAttributes(node.attributes)}`);
  }
  for (const [name, value] of Object.entries(outputs)) lines.push(`output ${name} = ${names.get(value) ?? ""}`);
  return lines.join("\n");
}

function showType({ dtype, shape }: Value): string {
  return `${dtype}${showShape(shape)}`;
}

function showAttributes(attributes: Attributes): string {
  const shown = Object.entries(attributes).map(([name, value]) => `${name}=${showAttribute(value)}`);
  return shown.length === 0 ? "" : ` {${shown.join(" ")}}`;
}

function showAttribute(value: AttributeValue): string {
  if (typeof value !== "object" || value === null) return String(value);
  return value.length > PRINTED_VALUES ? `(${value.length} values)` : showShape(value);
}
