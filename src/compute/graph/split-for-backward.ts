import { fuseAddIntoGemm } from "./fuse.ts";
import { ancestors, graph } from "./graph.ts";
import { check, elementCount } from "./node.ts";
import { OPS } from "./ops/index.ts";
import { input } from "./ops/input.ts";
import { rewrite } from "./rewrite.ts";
import type { Dtype, Graph, RecomputePolicy, Value } from "./types.ts";

/** A computation as two graphs, the second giving its gradients. */
export interface ForwardAndBackward {
  /** The forward outputs and, under the names in `kept`, what the backward graph is to be given. */
  readonly forward: Graph;
  readonly backward: Graph;
  /** Names that are outputs of `forward` and inputs of `backward`. */
  readonly kept: readonly string[];
}

/**
 * Divides a computation and its gradients into two graphs. With `keep`, forward values that the gradients need become
 * outputs of the first and inputs of the second, save those that are cheap to compute again; with `recompute`, the
 * second computes all of them again. Inputs of the forward graph that the gradients need are inputs of both.
 */
export function splitForBackward(
  forwardOutputs: Readonly<Record<string, Value>>,
  gradientOutputs: Readonly<Record<string, Value>>,
  policy: "keep" | "recompute",
): ForwardAndBackward {
  const [forwardNames, gradientNames] = [Object.keys(forwardOutputs), Object.keys(gradientOutputs)];
  for (const name of gradientNames) check(!(name in forwardOutputs), () => `${name} is both a result and a gradient`);
  // Both at once, so that the gradients go on referring to the forward values.
  const { outputs } = fuseAddIntoGemm(graph({ outputs: { ...forwardOutputs, ...gradientOutputs } }));
  const take = (names: readonly string[]): Record<string, Value> => Object.fromEntries(names.map((name) => [name, outputs[name] as Value]));
  const [forward, backward] = [take(forwardNames), graph({ outputs: take(gradientNames) })];
  if (policy === "recompute") return Object.freeze({ forward: graph({ outputs: forward }), backward, kept: [] });
  const kept = nameKept(chooseKept(forward, backward), forward);
  const stand = new Map([...kept].map(([name, value]) => [value, input(name, value.shape, value.dtype)]));
  return Object.freeze({
    forward: graph({ outputs: { ...forward, ...Object.fromEntries(kept) } }),
    backward: rewrite(backward, () => null, stand),
    kept: Object.freeze([...kept.keys()]),
  });
}

const policyOf = (value: Value): RecomputePolicy => OPS[value.node.op].recompute;

/** Forward values to keep, in order of creation. */
function chooseKept(forward: Readonly<Record<string, Value>>, backward: Graph): readonly Value[] {
  const results = new Set(Object.values(forward));
  const forwardNodes = new Set(ancestors([...results]));
  const isForward = (value: Value): boolean => forwardNodes.has(value.node);
  const used = [
    ...backward.nodes.filter((node) => !forwardNodes.has(node)).flatMap((node) => node.inputs),
    ...Object.values(backward.outputs),
  ];
  const needed = new Set(used.filter(isForward).flatMap(withoutViews));
  const kept = new Set([...needed].filter((value) => policyOf(value) === "never" || results.has(value)));
  for (const value of inOrder(needed)) {
    if (kept.has(value)) continue;
    const sources = sourcesOf(value, kept);
    const instead = totalBytes(sources) < totalBytes([value]) ? sources : [value];
    for (const source of instead) kept.add(source);
  }
  return inOrder(kept);
}

const inOrder = (values: Iterable<Value>): readonly Value[] => [...values].sort((a, b) => a.id - b.id);

/** A view stands for what it is a view of: as a graph output it would be copied. */
function withoutViews(value: Value): readonly Value[] {
  return policyOf(value) === "always" ? value.node.inputs.flatMap(withoutViews) : [value];
}

/** What must be kept besides `kept` to compute `value` again. */
function sourcesOf(value: Value, kept: ReadonlySet<Value>): readonly Value[] {
  if (kept.has(value)) return [];
  if (policyOf(value) === "never") return [value];
  return [...new Set(value.node.inputs.flatMap((source) => sourcesOf(source, kept)))];
}

const BYTES: Readonly<Record<Dtype, number>> = { float32: 4, int32: 4, int64: 8, bool: 1, uint8: 1 };

function totalBytes(values: readonly Value[]): number {
  return values.reduce((sum, { shape, dtype }) => sum + elementCount(shape) * BYTES[dtype], 0);
}

/** A result of the forward graph keeps its name; the others are called after their op. */
function nameKept(values: readonly Value[], forward: Readonly<Record<string, Value>>): ReadonlyMap<string, Value> {
  const names = new Map(Object.entries(forward).map(([name, value]) => [value, name]));
  return new Map(values.map((value, i) => [names.get(value) ?? `kept.${i}.${value.node.op}`, value]));
}
