import { sumTo } from "../broadcast.ts";
import { addAt, applyOne, at, check, checkDtype, checkRank, sameShape, showShape } from "../node.ts";
import { multiply, productSizes } from "../product.ts";
import type { Node, Op, ReferenceTensor, Value } from "../types.ts";
import { scale } from "./scale.ts";

type GemmAttributes = { readonly transA: boolean; readonly transB: boolean; readonly alpha: number; readonly beta: number };

// y = α op(a)·op(b) + β c for matrices; c [M,N] or a bias [N].
// With A = op(a), B = op(b): dA = α dy Bᵀ, dB = α Aᵀ dy (transposed again where op transposes); dc = β dy,
// summed over rows for a bias. Each is one product with the transpositions swapped, nothing is moved.
export const gemmOp: Op<GemmAttributes> = Object.freeze<Op<GemmAttributes>>({
  name: "gemm",
  infer([a, b, c], attributes) {
    for (const [name, matrix] of [
      ["a", a],
      ["b", b],
    ] as const) {
      checkRank(`gemm: ${name}`, matrix as Value, 2);
      checkDtype(`gemm: ${name}`, matrix as Value, "float32");
    }
    const { m, n } = productSizes((a as Value).shape, (b as Value).shape, attributes);
    check(
      c === undefined || sameShape(c.shape, [m, n]) || sameShape(c.shape, [n]),
      () => `gemm: c of [${m},${n}] has shape ${showShape(c?.shape ?? [])}`,
    );
    return [{ shape: [m, n], dtype: "float32" }];
  },
  withoutGradient: [],
  gradient(node, [gradient]) {
    const dy = gradient as Value;
    const [a, b, c] = node.inputs as readonly [Value, Value, Value?];
    const { transA, transB, alpha, beta } = node.attributes;
    const da = transA ? gemm(b, dy, { transA: transB, transB: true, alpha }) : gemm(dy, b, { transB: !transB, alpha });
    const db = transB ? gemm(dy, a, { transA: true, transB: transA, alpha }) : gemm(a, dy, { transA: !transA, alpha });
    return c === undefined ? [da, db] : [da, db, scale(sumTo(dy, c.shape), beta)];
  },
  evaluate([a, b, c], { attributes }) {
    const [left, right] = [a as ReferenceTensor, b as ReferenceTensor];
    const sizes = productSizes(left.shape, right.shape, attributes);
    const data = multiply(left.data, right.data, sizes, attributes, attributes.alpha);
    for (let i = 0; c !== undefined && i < data.length; i++) addAt(data, i, attributes.beta * at(c.data, i % c.data.length));
    return [{ shape: [sizes.m, sizes.n], data }];
  },
  onnx: {
    opType: "Gemm",
    attributes: ({ attributes: { transA, transB, alpha, beta } }) => ({
      transA: { int: transA ? 1 : 0 },
      transB: { int: transB ? 1 : 0 },
      alpha: { float: alpha },
      beta: { float: beta },
    }),
  },
  recompute: "never",
  flops(node: Node<GemmAttributes>) {
    const { m, n, k } = productSizes(at(node.inputs, 0).shape, at(node.inputs, 1).shape, node.attributes);
    return 2 * m * n * k;
  },
});

/** How {@link gemm} reads its operands and what it adds. */
export interface GemmOptions {
  /** @defaultValue false */
  readonly transA?: boolean;
  /** @defaultValue false */
  readonly transB?: boolean;
  /** @defaultValue 1 */
  readonly alpha?: number;
  /** [M,N], or a bias [N] that is added to every row. */
  readonly c?: Value;
  /** @defaultValue 1 */
  readonly beta?: number;
}

/** `alpha · op(a)·op(b) + beta · c` → [M,N]; a frozen weight [out,in] is used as `gemm(x, w, { transB: true })`. */
export function gemm(a: Value, b: Value, options: GemmOptions = {}): Value {
  const { transA = false, transB = false, alpha = 1, c, beta = 1 } = options;
  return applyOne(gemmOp, c === undefined ? [a, b] : [a, b, c], { transA, transB, alpha, beta });
}
