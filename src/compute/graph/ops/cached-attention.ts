import { UNSEEN, type Writer, writer } from "../attention-chunks.ts";
import { addAt, applyOne, at, check, checkDtype, checkRank, checkShape, showShape } from "../node.ts";
import type { Node, OnnxEmitter, Op, ReferenceTensor, TensorType, Value } from "../types.ts";

type CachedAttentionAttributes = { readonly scale: number; readonly window: number | null };

interface Sizes {
  readonly batch: number;
  readonly heads: number;
  readonly kvHeads: number;
  /** New positions S. */
  readonly length: number;
  readonly width: number;
  /** Positions of the cache T. */
  readonly cached: number;
}

/** The op's inputs in their order. */
function byName<T>(inputs: readonly T[]): Readonly<Record<"q" | "k" | "v" | "kCache" | "vCache" | "positions" | "cachePositions", T>> {
  const [q, k, v, kCache, vCache, positions, cachePositions] = inputs as readonly [T, T, T, T, T, T, T];
  return { q, k, v, kCache, vCache, positions, cachePositions };
}

function sizesOf(inputs: readonly TensorType[], { window }: CachedAttentionAttributes): Sizes {
  const { q, k, v, kCache, vCache, positions, cachePositions } = byName(inputs);
  for (const [name, x] of Object.entries({ q, k, v, kCache, vCache })) {
    checkRank(`cachedAttention: ${name}`, x, 4);
    checkDtype(`cachedAttention: ${name}`, x, "float32");
  }
  const [batch, heads, length, width] = q.shape as readonly [number, number, number, number];
  const [kvHeads, cached] = [at(k.shape, 1), at(kCache.shape, 2)];
  check(heads % kvHeads === 0, () => `cachedAttention: ${heads} heads for ${kvHeads} key heads`);
  checkShape("cachedAttention: k", k, [batch, kvHeads, length, width]);
  checkShape("cachedAttention: v", v, k.shape);
  checkShape("cachedAttention: kCache", kCache, [batch, kvHeads, cached, width]);
  checkShape("cachedAttention: vCache", vCache, kCache.shape);
  for (const [name, x, shape] of [
    ["positions", positions, [batch, length]],
    ["cachePositions", cachePositions, [batch, cached]],
  ] as const) {
    checkDtype(`cachedAttention: ${name}`, x, "int32");
    checkShape(`cachedAttention: ${name}`, x, shape);
  }
  check(
    window === null || (Number.isInteger(window) && window > 0),
    () => `cachedAttention: window ${String(window)} for ${showShape(q.shape)}`,
  );
  return { batch, heads, kvHeads, length, width, cached };
}

// Attention of new positions to a cache of T earlier ones and to themselves. Each key has a position, −1 where a slot is
// free or a row is padding. A query at position i sees the keys with 0 ≤ position ≤ i and, with a window W, i − position < W:
//   p_ij = softmax_j(scale q_i·k_j) over both,   o_i = Σ_j p_ij v_j.
// A query that sees nothing (padding) gets the mean of all values: finite, and nobody reads it. The two kinds of keys are
// multiplied apart and only their scores are joined, so that the cache is never copied. There is no gradient: it is for
// generating, where nothing is trained.
export const cachedAttentionOp: Op<CachedAttentionAttributes> = Object.freeze<Op<CachedAttentionAttributes>>({
  name: "cachedAttention",
  infer(inputs, attributes) {
    sizesOf(inputs, attributes);
    return [{ shape: (inputs[0] as Value).shape, dtype: "float32" }];
  },
  withoutGradient: "all",
  evaluate(inputs, node) {
    const sizes = sizesOf(node.inputs, node.attributes);
    const { batch, heads, length, width } = sizes;
    const data = new Float64Array(at(inputs, 0).data.length);
    for (let b = 0; b < batch; b++) {
      for (let h = 0; h < heads; h++) {
        for (let i = 0; i < length; i++) {
          const out = ((b * heads + h) * length + i) * width;
          for (const { values, key, p } of probabilitiesOf(inputs, sizes, [b, h, i], node.attributes))
            for (let x = 0; x < width; x++) addAt(data, out + x, p * at(values.data, key + x));
        }
      }
    }
    return [{ shape: at(inputs, 0).shape, data }];
  },
  onnx: {
    lower(node, emit) {
      const { batch, heads, kvHeads, length, width, cached } = sizesOf(node.inputs, node.attributes);
      const { q, k, v, kCache, vCache } = byName(node.inputs.map((value) => emit.name(value)));
      const write = writer(emit);
      const grouped = (heads / kvHeads) * length;
      const queries = write.reshape(q, [batch, kvHeads, grouped, width]);
      const scores = [kCache, k].map((keys) => write.product(queries, keys, { transB: true, alpha: node.attributes.scale }));
      const joined = write.reshape(write.one("Concat", scores, { axis: { int: -1 } }), [batch, heads, length, cached + length]);
      const p = write.one("Softmax", [write.one("Add", [joined, emitMask(node, write, emit)])], { axis: { int: -1 } });
      const rows = write.reshape(p, [batch, kvHeads, grouped, cached + length]);
      const split = emit.constant([cached, length], [2], "int64");
      const [old, own] = emit.node("Split", [rows, split], 2, { axis: { int: -1 } }) as readonly [string, string];
      const sum = write.one("Add", [write.product(old, vCache, {}), write.product(own, v, {})]);
      emit.node("Reshape", [sum, emit.constant([batch, heads, length, width], [4], "int64")], [emit.name(at(node.outputs, 0))]);
    },
  },
  recompute: "never",
  flops(node) {
    const { batch, heads, length, width, cached } = sizesOf(node.inputs, node.attributes);
    return 4 * batch * heads * length * (cached + length) * width;
  },
});

/** Emits what is added to scores, [B,1,S,T+S]: 0 for a key that is seen, else UNSEEN. */
function emitMask(node: Node<CachedAttentionAttributes>, write: Writer, emit: OnnxEmitter): string {
  const { batch, length, cached } = sizesOf(node.inputs, node.attributes);
  const { positions, cachePositions } = byName(node.inputs.map((value) => emit.name(value)));
  const int32 = (value: number): string => emit.constant([value], [], "int32");
  const keys = write.reshape(write.one("Concat", [cachePositions, positions], { axis: { int: 1 } }), [batch, 1, 1, cached + length]);
  const queries = write.reshape(positions, [batch, 1, length, 1]);
  const earlier = write.one("And", [write.one("LessOrEqual", [keys, queries]), write.one("Less", [int32(-1), keys])]);
  const { window } = node.attributes;
  const seen =
    window === null ? earlier : write.one("And", [earlier, write.one("Less", [write.one("Sub", [queries, keys]), int32(window)])]);
  return write.one("Where", [seen, emit.constant([0], [], "float32"), emit.constant([UNSEEN], [], "float32")]);
}

/** For the reference: the keys that query (b, h, i) sees, as offsets in the values that they belong to, with their probabilities. */
function probabilitiesOf(
  inputs: readonly ReferenceTensor[],
  { heads, kvHeads, length, width, cached }: Sizes,
  [b, h, i]: readonly [number, number, number],
  { scale, window }: CachedAttentionAttributes,
): readonly { readonly values: ReferenceTensor; readonly key: number; readonly p: number }[] {
  const { q, k, v, kCache, vCache, positions, cachePositions } = byName(inputs);
  const own = at(positions.data, b * length + i);
  const query = ((b * heads + h) * length + i) * width;
  const head = b * kvHeads + Math.floor(h / (heads / kvHeads));
  const all = [
    { keys: kCache, values: vCache, places: cachePositions, count: cached },
    { keys: k, values: v, places: positions, count: length },
  ].flatMap(({ keys, values, places, count }) =>
    Array.from({ length: count }, (_, j) => {
      const position = at(places.data, b * count + j);
      const key = (head * count + j) * width;
      let score = 0;
      for (let x = 0; x < width; x++) score += at(q.data, query + x) * at(keys.data, key + x);
      const seen = position >= 0 && position <= own && (window === null || own - position < window);
      return { values, key, score: scale * score, seen };
    }),
  );
  const visible = all.filter(({ seen }) => seen);
  if (visible.length === 0) return all.map(({ values, key }) => ({ values, key, p: 1 / all.length }));
  const max = Math.max(...visible.map(({ score }) => score));
  const sum = visible.reduce((total, { score }) => total + Math.exp(score - max), 0);
  return visible.map(({ values, key, score }) => ({ values, key, p: Math.exp(score - max) / sum }));
}

/** What {@link cachedAttention} attends to. */
export interface CachedKeys {
  /** [B,HK,S,d] */
  readonly k: Value;
  /** [B,HK,S,d] */
  readonly v: Value;
  /** [B,HK,T,d] */
  readonly kCache: Value;
  /** [B,HK,T,d] */
  readonly vCache: Value;
  /** [B,S] int32 */
  readonly positions: Value;
  /** [B,T] int32 */
  readonly cachePositions: Value;
}

/**
 * Attention of `q` [B,H,S,d] to keys in a cache and to the new ones, by position; −1 marks free slots and padding. With a
 * `window`, a query sees that many positions, its own among them. Without gradient.
 */
export function cachedAttention(q: Value, keys: CachedKeys, options: { readonly scale: number; readonly window: number | null }): Value {
  const { k, v, kCache, vCache, positions, cachePositions } = keys;
  return applyOne(cachedAttentionOp, [q, k, v, kCache, vCache, positions, cachePositions], {
    scale: options.scale,
    window: options.window,
  });
}
