import {
  type AttentionAttributes,
  type AttentionSizes,
  attentionSizes,
  type Chunk,
  chunkedProductFlops,
  emitProbabilities,
  queryChunks,
  writer,
} from "../attention-chunks.ts";
import { addAt, apply, at, checkShape } from "../node.ts";
import type { Node, OnnxEmitter, Op, ReferenceTensor, Value } from "../types.ts";
import { probabilitiesOfQuery } from "./attention.ts";

// The derivative of attention (see there) from q, k, v, segments, o [B,H,S,d] and do [B,H,S,d].
export const attentionGradOp: Op<AttentionAttributes> = Object.freeze<Op<AttentionAttributes>>({
  name: "attentionGrad",
  infer(inputs, attributes) {
    attentionSizes(inputs, attributes);
    const [q, k, v, , o, dout] = inputs as readonly [Value, Value, Value, Value, Value, Value];
    checkShape("attentionGrad: o", o, q.shape);
    checkShape("attentionGrad: do", dout, q.shape);
    return [q, k, v];
  },
  withoutGradient: "all",
  evaluate(inputs, node) {
    const [q, k, v, segments, o, dout] = inputs as readonly [
      ReferenceTensor,
      ReferenceTensor,
      ReferenceTensor,
      ReferenceTensor,
      ReferenceTensor,
      ReferenceTensor,
    ];
    const { batch, heads, length, width } = attentionSizes(node.inputs, node.attributes);
    const [dq, dk, dv] = [q, k, v].map((x) => new Float64Array(x.data.length)) as [Float64Array, Float64Array, Float64Array];
    for (let b = 0; b < batch; b++) {
      for (let h = 0; h < heads; h++) {
        for (let i = 0; i < length; i++) {
          const query = ((b * heads + h) * length + i) * width;
          for (const { key, p } of probabilitiesOfQuery(q, k, segments, [b, h, i], node.attributes)) {
            let ds = 0;
            for (let x = 0; x < width; x++) ds += p * at(dout.data, query + x) * (at(v.data, key + x) - at(o.data, query + x));
            for (let x = 0; x < width; x++) {
              addAt(dv, key + x, p * at(dout.data, query + x));
              addAt(dq, query + x, node.attributes.scale * ds * at(k.data, key + x));
              addAt(dk, key + x, node.attributes.scale * ds * at(q.data, query + x));
            }
          }
        }
      }
    }
    return [
      { shape: q.shape, data: dq },
      { shape: k.shape, data: dk },
      { shape: v.shape, data: dv },
    ];
  },
  onnx: { lower: emitAttentionGrad },
  recompute: "never",
  // scores again, do·v, dq, dk, dv
  flops: (node) => 5 * chunkedProductFlops(node),
});

const UNNAMED = [undefined, undefined] as const;

/** Emits all chunks; gradients of keys and values are summed up over them. */
function emitAttentionGrad(node: Node<AttentionAttributes>, emit: OnnxEmitter): void {
  const [q, k, v, segments, o, dout] = node.inputs.map((value) => emit.name(value)) as [string, string, string, string, string, string];
  const [dq, dk, dv] = node.outputs.map((value) => emit.name(value)) as [string, string, string];
  const sizes = attentionSizes(node.inputs, node.attributes);
  const write = writer(emit);
  const rowSums = write.one("ReduceSum", [write.one("Mul", [o, dout]), emit.constant([3], [1], "int64")], { keepdims: { int: 1 } });
  const tensors = { q, k, v, segments, dout, rowSums };
  const chunks = queryChunks(sizes.length, node.attributes.window);
  const parts: string[] = [];
  let sums: readonly [string, string] | null = null;
  chunks.forEach((chunk, i) => {
    const names = i === chunks.length - 1 ? ([dk, dv] as const) : UNNAMED;
    const part = emitChunkGrad(tensors, chunk, sizes, node.attributes, sums === null ? names : UNNAMED, emit);
    parts.push(part.dq);
    const before: readonly [string, string] | null = sums;
    sums =
      before === null
        ? [part.dk, part.dv]
        : [accumulate(before[0], part.dk, chunk, names[0], emit), accumulate(before[1], part.dv, chunk, names[1], emit)];
  });
  emit.node("Concat", parts, [dq], { axis: { int: 2 } });
}

interface GradTensors {
  readonly q: string;
  readonly k: string;
  readonly v: string;
  readonly segments: string;
  readonly dout: string;
  /** D, [B,H,S,1] */
  readonly rowSums: string;
}

/** Emits dq [B,H,n,d] of one chunk and its share of dk and dv [B,HK,k,d]. */
function emitChunkGrad(
  tensors: GradTensors,
  chunk: Chunk,
  sizes: AttentionSizes,
  attributes: AttentionAttributes,
  [dk, dv]: readonly [string, string] | readonly [undefined, undefined],
  emit: OnnxEmitter,
): { readonly dq: string; readonly dk: string; readonly dv: string } {
  const write = writer(emit);
  const { batch, heads, kvHeads, width } = sizes;
  const queries = chunk.end - chunk.start;
  const grouped = (heads / kvHeads) * queries;
  const square = [batch, kvHeads, grouped, chunk.end - chunk.firstKey];
  const ofQueries = (x: string): string => write.reshape(write.slice(x, 2, chunk.start, chunk.end), [batch, kvHeads, grouped, width]);
  const ofKeys = (x: string): string => write.slice(x, 2, chunk.firstKey, chunk.end);
  const [q, dout, k, v] = [ofQueries(tensors.q), ofQueries(tensors.dout), ofKeys(tensors.k), ofKeys(tensors.v)];
  const p = emitProbabilities(q, k, tensors.segments, chunk, sizes, attributes, emit);
  const dp = write.reshape(write.product(dout, v, { transB: true }), [batch, heads, queries, chunk.end - chunk.firstKey]);
  const centred = write.one("Sub", [dp, write.slice(tensors.rowSums, 2, chunk.start, chunk.end)]);
  const ds = write.reshape(write.one("Mul", [centred, p]), square);
  return {
    dq: write.reshape(write.product(ds, k, { alpha: attributes.scale }), [batch, heads, queries, width]),
    // the sum over the G heads of a key head comes with the product over their rows
    dk: write.product(ds, q, { transA: true, alpha: attributes.scale }, dk),
    dv: write.product(write.reshape(p, square), dout, { transA: true }, dv),
  };
}

/** Emits the sum of `sum` over keys 0 … start and a chunk's `part` over keys firstKey … end: keys 0 … end. */
function accumulate(sum: string, part: string, { start, end, firstKey }: Chunk, output: string | undefined, emit: OnnxEmitter): string {
  const write = writer(emit);
  const pieces: string[] = [];
  const overlap = start - firstKey;
  if (firstKey > 0) pieces.push(overlap === 0 ? sum : write.slice(sum, 2, 0, firstKey));
  if (overlap > 0)
    pieces.push(write.one("Add", [firstKey > 0 ? write.slice(sum, 2, firstKey, start) : sum, write.slice(part, 2, 0, overlap)]));
  pieces.push(overlap === 0 ? part : write.slice(part, 2, overlap, end - firstKey));
  return at(emit.node("Concat", pieces, output === undefined ? 1 : [output], { axis: { int: 2 } }), 0);
}

/** Gradients `[dq, dk, dv]` of attention from its inputs, its result `o` and the result's gradient. */
export function attentionGrad(
  q: Value,
  k: Value,
  v: Value,
  segments: Value,
  o: Value,
  dout: Value,
  options: AttentionAttributes,
): readonly [Value, Value, Value] {
  return apply(attentionGradOp, [q, k, v, segments, o, dout], { scale: options.scale, window: options.window }) as readonly [
    Value,
    Value,
    Value,
  ];
}
