import {
  type AttentionAttributes,
  attentionSizes,
  chunkedProductFlops,
  emitProbabilities,
  queryChunks,
  sees,
  writer,
} from "../attention-chunks.ts";
import { addAt, applyOne, at } from "../node.ts";
import type { Op, ReferenceTensor, Value } from "../types.ts";
import { attentionGrad } from "./attention-grad.ts";

// Causal attention with grouped key heads over packed rows. Query i of head h sees the keys j ≤ i of head
// ⌊h / G⌋, G = H / HK, that are in its segment and, with a window W, nearer than W:
//   p_ij = softmax_j(scale q_i·k_j),   o_i = Σ_j p_ij v_j.
// With D_i = Σ o_i do_i:  dv_j = Σ p_ij do_i,  ds_ij = p_ij (do_i·v_j − D_i),  dq_i = scale Σ ds_ij k_j,
// dk_j = scale Σ ds_ij q_i (sums over the queries of all G heads). Probabilities are computed again rather than kept.
export const attentionOp: Op<AttentionAttributes> = Object.freeze<Op<AttentionAttributes>>({
  name: "attention",
  infer(inputs, attributes) {
    attentionSizes(inputs, attributes);
    return [{ shape: (inputs[0] as Value).shape, dtype: "float32" }];
  },
  withoutGradient: [3],
  gradient({ inputs, outputs, attributes }, [dout]) {
    const [q, k, v, segments] = inputs as readonly [Value, Value, Value, Value];
    return [...attentionGrad(q, k, v, segments, at(outputs, 0), dout as Value, attributes), null];
  },
  evaluate(inputs, node) {
    const [q, k, v, segments] = inputs as readonly [ReferenceTensor, ReferenceTensor, ReferenceTensor, ReferenceTensor];
    const { batch, heads, length, width } = attentionSizes(node.inputs, node.attributes);
    const data = new Float64Array(q.data.length);
    for (let b = 0; b < batch; b++) {
      for (let h = 0; h < heads; h++) {
        for (let i = 0; i < length; i++) {
          const out = ((b * heads + h) * length + i) * width;
          for (const { key, p } of probabilitiesOfQuery(q, k, segments, [b, h, i], node.attributes)) {
            for (let x = 0; x < width; x++) addAt(data, out + x, p * at(v.data, key + x));
          }
        }
      }
    }
    return [{ shape: q.shape, data }];
  },
  onnx: {
    lower(node, emit) {
      const [q, k, v, segments] = node.inputs.map((value) => emit.name(value)) as [string, string, string, string];
      const sizes = attentionSizes(node.inputs, node.attributes);
      const { batch, heads, kvHeads, width, length } = sizes;
      const write = writer(emit);
      const parts = queryChunks(length, node.attributes.window).map((chunk) => {
        const queries = chunk.end - chunk.start;
        const grouped = (heads / kvHeads) * queries;
        const qc = write.reshape(write.slice(q, 2, chunk.start, chunk.end), [batch, kvHeads, grouped, width]);
        const [kc, vc] = [k, v].map((x) => write.slice(x, 2, chunk.firstKey, chunk.end)) as [string, string];
        const p = emitProbabilities(qc, kc, segments, chunk, sizes, node.attributes, emit);
        const rows = write.reshape(p, [batch, kvHeads, grouped, chunk.end - chunk.firstKey]);
        return write.reshape(write.product(rows, vc, {}), [batch, heads, queries, width]);
      });
      emit.node("Concat", parts, [emit.name(at(node.outputs, 0))], { axis: { int: 2 } });
    },
  },
  recompute: "never",
  flops: (node) => 2 * chunkedProductFlops(node),
});

/** For the reference: the keys (offsets in k and v) that query (b, h, i) sees, with their probabilities. */
export function probabilitiesOfQuery(
  q: ReferenceTensor,
  k: ReferenceTensor,
  segments: ReferenceTensor,
  [b, h, i]: readonly [number, number, number],
  { scale, window }: AttentionAttributes,
): readonly { readonly key: number; readonly p: number }[] {
  const [, heads, length, width] = q.shape as readonly [number, number, number, number];
  const kvHeads = at(k.shape, 1);
  const query = ((b * heads + h) * length + i) * width;
  const first = (b * kvHeads + Math.floor(h / (heads / kvHeads))) * length * width;
  const scores: { key: number; score: number }[] = [];
  for (let j = 0; j <= i; j++) {
    if (!sees(segments, b, i, j, window)) continue;
    const key = first + j * width;
    let score = 0;
    for (let x = 0; x < width; x++) score += at(q.data, query + x) * at(k.data, key + x);
    scores.push({ key, score: scale * score });
  }
  const max = Math.max(...scores.map(({ score }) => score));
  const sum = scores.reduce((total, { score }) => total + Math.exp(score - max), 0);
  return scores.map(({ key, score }) => ({ key, p: Math.exp(score - max) / sum }));
}

/**
 * Causal attention of `q` [B,H,S,d] with `k`, `v` [B,HK,S,d] within equal `segments` [B,S] (int32) → [B,H,S,d];
 * with a `window`, a query sees that many keys, itself among them.
 */
export function attention(
  q: Value,
  k: Value,
  v: Value,
  segments: Value,
  options: { readonly scale: number; readonly window: number | null },
): Value {
  return applyOne(attentionOp, [q, k, v, segments], { scale: options.scale, window: options.window });
}
