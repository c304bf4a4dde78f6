import { InternalError } from "../../core/index.ts";
import { elementCount, type Graph, OPS, type ReferenceTensor, sameShape, showShape, type Value } from "../graph/index.ts";

/** A tensor to feed: its elements in row-major order. */
export interface ReferenceFeed {
  readonly shape: readonly number[];
  readonly data: ArrayLike<number>;
}

/**
 * Computes a graph's outputs in float64, op by op, by the plain evaluation in each op's record. Slow, and what the
 * runtime is compared with.
 * @throws `InternalError` if an input is not fed or has another shape.
 */
export function evaluateReference(graph: Graph, feeds: Readonly<Record<string, ReferenceFeed>>): Record<string, ReferenceTensor> {
  const tensors = new Map<Value, ReferenceTensor>();
  const tensorOf = (value: Value): ReferenceTensor => {
    const tensor = tensors.get(value);
    if (tensor === undefined) throw new InternalError(`${value.node.op} has not been evaluated`);
    return tensor;
  };
  for (const [name, value] of Object.entries(graph.inputs)) tensors.set(value, fed(name, value, feeds[name]));
  for (const node of graph.nodes) {
    const results = OPS[node.op].evaluate(node.inputs.map(tensorOf), node);
    node.outputs.forEach((output, i) => {
      const result = results[i];
      if (result === undefined || !sameShape(result.shape, output.shape) || result.data.length !== elementCount(output.shape)) {
        throw new InternalError(`${node.op} was to give ${showShape(output.shape)} and gave ${showShape(result?.shape ?? [])}`);
      }
      tensors.set(output, result);
    });
  }
  return Object.fromEntries(Object.entries(graph.outputs).map(([name, value]) => [name, tensorOf(value)]));
}

function fed(name: string, value: Value, feed: ReferenceFeed | undefined): ReferenceTensor {
  if (feed === undefined) throw new InternalError(`input ${name} is not fed`);
  if (!sameShape(feed.shape, value.shape) || feed.data.length !== elementCount(value.shape)) {
    throw new InternalError(
      `input ${name} must be ${showShape(value.shape)}, is ${showShape(feed.shape)} with ${feed.data.length} elements`,
    );
  }
  return { shape: feed.shape, data: Float64Array.from(feed.data) };
}
