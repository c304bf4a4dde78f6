import { applyOne, at, check, checkDtype, elementCount, sameShape, showShape } from "../node.ts";
import { multiply, productSizes } from "../product.ts";
import type { Node, Op, ReferenceTensor, Shape, Value } from "../types.ts";

type MatmulAttributes = { readonly transA: boolean; readonly transB: boolean; readonly alpha: number };

const batchOf = (shape: Shape): Shape => shape.slice(0, -2);

// y = α op(a)·op(b) for each pair of matrices of two equal batches; the derivative is gemm's.
export const matmulOp: Op<MatmulAttributes> = Object.freeze<Op<MatmulAttributes>>({
  name: "matmul",
  infer([a, b], attributes) {
    const [left, right] = [a as Value, b as Value];
    checkDtype("matmul: a", left, "float32");
    checkDtype("matmul: b", right, "float32");
    const fits = left.shape.length >= 2 && sameShape(batchOf(left.shape), batchOf(right.shape));
    check(fits, () => `matmul of ${showShape(left.shape)} and ${showShape(right.shape)}`);
    const { m, n } = productSizes(left.shape, right.shape, attributes);
    return [{ shape: [...batchOf(left.shape), m, n], dtype: "float32" }];
  },
  withoutGradient: [],
  gradient(node, [gradient]) {
    const dy = gradient as Value;
    const [a, b] = node.inputs as readonly [Value, Value];
    const { transA, transB, alpha } = node.attributes;
    const da = transA ? matmul(b, dy, { transA: transB, transB: true, alpha }) : matmul(dy, b, { transB: !transB, alpha });
    const db = transB ? matmul(dy, a, { transA: true, transB: transA, alpha }) : matmul(a, dy, { transA: !transA, alpha });
    return [da, db];
  },
  evaluate([a, b], { attributes }) {
    const [left, right] = [a as ReferenceTensor, b as ReferenceTensor];
    const sizes = productSizes(left.shape, right.shape, attributes);
    const { m, n, k } = sizes;
    const batch = batchOf(left.shape);
    const data = new Float64Array(elementCount(batch) * m * n);
    for (let i = 0; i < elementCount(batch); i++) {
      const [partA, partB] = [left.data.subarray(i * m * k, (i + 1) * m * k), right.data.subarray(i * k * n, (i + 1) * k * n)];
      data.set(multiply(partA, partB, sizes, attributes, attributes.alpha), i * m * n);
    }
    return [{ shape: [...batch, m, n], data }];
  },
  onnx: {
    opType: "FusedMatMul",
    domain: "com.microsoft",
    attributes: ({ attributes: { transA, transB, alpha } }) => ({
      transA: { int: transA ? 1 : 0 },
      transB: { int: transB ? 1 : 0 },
      alpha: { float: alpha },
    }),
  },
  recompute: "never",
  flops(node: Node<MatmulAttributes>) {
    const a = at(node.inputs, 0).shape;
    const { m, n, k } = productSizes(a, at(node.inputs, 1).shape, node.attributes);
    return 2 * elementCount(batchOf(a)) * m * n * k;
  },
});

/** How {@link matmul} reads its operands. */
export interface MatmulOptions {
  /** @defaultValue false */
  readonly transA?: boolean;
  /** @defaultValue false */
  readonly transB?: boolean;
  /** @defaultValue 1 */
  readonly alpha?: number;
}

/** `alpha · op(a)·op(b)` over the last two axes; the axes before them are equal. */
export function matmul(a: Value, b: Value, options: MatmulOptions = {}): Value {
  const { transA = false, transB = false, alpha = 1 } = options;
  return applyOne(matmulOp, [a, b], { transA, transB, alpha });
}
