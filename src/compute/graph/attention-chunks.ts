import { at, check, checkDtype, checkRank, checkShape, showShape } from "./node.ts";
import type { Node, OnnxEmitter, ReferenceTensor, TensorType } from "./types.ts";

// What attention and its derivative share: which keys a query sees, and how that is laid out in ONNX.

export type AttentionAttributes = { readonly scale: number; readonly window: number | null };

export interface AttentionSizes {
  readonly batch: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly length: number;
  readonly width: number;
}

/** Sizes of q [B,H,S,d], k, v [B,HK,S,d] and segments [B,S], checked. */
export function attentionSizes(inputs: readonly TensorType[], { window }: AttentionAttributes): AttentionSizes {
  const [q, k, v, segments] = inputs as readonly [TensorType, TensorType, TensorType, TensorType];
  checkRank("attention: q", q, 4);
  checkRank("attention: k", k, 4);
  for (const x of [q, k, v]) checkDtype("attention: q, k, v", x, "float32");
  const [batch, heads, length, width] = q.shape as readonly [number, number, number, number];
  const kvHeads = at(k.shape, 1);
  check(heads % kvHeads === 0, () => `attention: ${heads} heads for ${kvHeads} key heads`);
  checkShape("attention: k", k, [batch, kvHeads, length, width]);
  checkShape("attention: v", v, k.shape);
  checkDtype("attention: segments", segments, "int32");
  checkShape("attention: segments", segments, [batch, length]);
  check(window === null || (Number.isInteger(window) && window > 0), () => `attention: window ${String(window)} for ${showShape(q.shape)}`);
  return { batch, heads, kvHeads, length, width };
}

/** Whether query position `i` sees key position `j` of batch row `b`. */
export function sees(segments: ReferenceTensor, b: number, i: number, j: number, window: number | null): boolean {
  const length = at(segments.shape, 1);
  return j <= i && (window === null || i - j < window) && segments.data[b * length + i] === segments.data[b * length + j];
}

/** Queries `start` to `end` and the first key that any of them can see; the last is `end − 1`. */
export interface Chunk {
  readonly start: number;
  readonly end: number;
  readonly firstKey: number;
}

/** Queries per chunk: 64 to 256 measured on two cores, 128 the best or equal (6.5 ms against 10.9 for the whole square). */
const CHUNK_QUERIES = 128;

export function queryChunks(length: number, window: number | null): readonly Chunk[] {
  return Array.from({ length: Math.ceil(length / CHUNK_QUERIES) }, (_, i) => {
    const start = i * CHUNK_QUERIES;
    return { start, end: Math.min(length, start + CHUNK_QUERIES), firstKey: window === null ? 0 : Math.max(0, start - window + 1) };
  });
}

/** 2 × multiplications of one product of queries with the keys of their chunks. */
export function chunkedProductFlops(node: Node<AttentionAttributes>): number {
  const { batch, heads, length, width } = attentionSizes(node.inputs, node.attributes);
  return queryChunks(length, node.attributes.window).reduce(
    (sum, { start, end, firstKey }) => sum + 2 * batch * heads * (end - start) * (end - firstKey) * width,
    0,
  );
}

/** Added to the score of a key that is not seen: exp of it is 0 beside any real score, and unlike −∞ it cannot make a NaN. */
export const UNSEEN = -1e30;

/** Short forms for what attention's lowerings write most. */
export interface Writer {
  one(opType: string, inputs: readonly string[], attributes?: Parameters<OnnxEmitter["node"]>[3], domain?: "com.microsoft"): string;
  slice(x: string, axis: number, start: number, end: number): string;
  reshape(x: string, shape: readonly number[]): string;
  product(a: string, b: string, options: { transA?: true; transB?: true; alpha?: number }, output?: string): string;
}

export function writer(emit: OnnxEmitter): Writer {
  const int64 = (values: readonly number[]): string => emit.constant(values, [values.length], "int64");
  const one: Writer["one"] = (opType, inputs, attributes, domain) => at(emit.node(opType, inputs, 1, attributes, domain), 0);
  return {
    one,
    slice: (x, axis, start, end) => one("Slice", [x, int64([start]), int64([end]), int64([axis])]),
    reshape: (x, shape) => one("Reshape", [x, int64(shape)]),
    product(a, b, { transA, transB, alpha = 1 }, output) {
      const attributes = { transA: { int: transA ? 1 : 0 }, transB: { int: transB ? 1 : 0 }, alpha: { float: alpha } };
      return at(emit.node("FusedMatMul", [a, b], output === undefined ? 1 : [output], attributes, "com.microsoft"), 0);
    },
  };
}

/**
 * Emits the probabilities of one chunk as [B,H,n,k] from the chunk's q as [B,HK,G·n,d] and its keys [B,HK,k,d]. The
 * view of the query heads by key head is what spares repeating keys and values.
 */
export function emitProbabilities(
  q: string,
  k: string,
  segments: string,
  chunk: Chunk,
  sizes: AttentionSizes,
  attributes: AttentionAttributes,
  emit: OnnxEmitter,
): string {
  const write = writer(emit);
  const queries = chunk.end - chunk.start;
  const keys = chunk.end - chunk.firstKey;
  const scores = write.reshape(write.product(q, k, { transB: true, alpha: attributes.scale }), [sizes.batch, sizes.heads, queries, keys]);
  const mask = emitMask(segments, chunk, sizes, attributes.window, emit);
  return write.one("Softmax", [write.one("Add", [scores, mask])], { axis: { int: -1 } });
}

/**
 * Emits what is added to scores, [B,1,n,k]: 0 for a key that is seen, else UNSEEN. The part that is the same for every
 * batch depends on constants alone; the runtime computes it once, when the graph is loaded.
 */
function emitMask(segments: string, chunk: Chunk, { batch }: AttentionSizes, window: number | null, emit: OnnxEmitter): string {
  const write = writer(emit);
  const { start, end, firstKey } = chunk;
  const range = (from: number, shape: readonly number[]): string =>
    emit.constant(
      Array.from({ length: end - from }, (_, i) => from + i),
      shape,
      "int32",
    );
  const unseen = emit.constant([UNSEEN], [], "float32");
  const keys = range(firstKey, [1, end - firstKey]);
  const queries = range(start, [end - start, 1]);
  const causal = write.one("Where", [write.one("LessOrEqual", [keys, queries]), emit.constant([0], [], "float32"), unseen]);
  const isNear = (limit: number): string => write.one("Less", [write.one("Sub", [queries, keys]), emit.constant([limit], [], "int32")]);
  const near = window === null ? causal : write.one("Where", [isNear(window), causal, unseen]);
  const ofQueries = write.reshape(write.slice(segments, 1, start, end), [batch, 1, end - start, 1]);
  const ofKeys = write.reshape(write.slice(segments, 1, firstKey, end), [batch, 1, 1, end - firstKey]);
  return write.one("Where", [write.one("Equal", [ofQueries, ofKeys]), near, unseen]);
}
