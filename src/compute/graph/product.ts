import { at, check, showShape } from "./node.ts";
import type { Shape } from "./types.ts";

/** How the last two axes of both operands of a matrix product are read. */
export interface Transposition {
  readonly transA: boolean;
  readonly transB: boolean;
}

/** M, N and K of op(a)·op(b) over the last two axes; throws where the inner lengths differ. */
export function productSizes(a: Shape, b: Shape, { transA, transB }: Transposition): { m: number; n: number; k: number } {
  const [rowsA, columnsA] = [at(a, a.length - 2), at(a, a.length - 1)];
  const [rowsB, columnsB] = [at(b, b.length - 2), at(b, b.length - 1)];
  const [m, k] = transA ? [columnsA, rowsA] : [rowsA, columnsA];
  const [inner, n] = transB ? [columnsB, rowsB] : [rowsB, columnsB];
  check(k === inner, () => `product of ${showShape(a)}${transA ? "ᵀ" : ""} and ${showShape(b)}${transB ? "ᵀ" : ""}`);
  return { m, n, k };
}

/** `alpha · op(a)·op(b)` of one pair of row-major matrices. */
export function multiply(
  a: Float64Array,
  b: Float64Array,
  sizes: { m: number; n: number; k: number },
  { transA, transB }: Transposition,
  alpha: number,
): Float64Array {
  const { m, n, k } = sizes;
  const y = new Float64Array(m * n);
  for (let row = 0; row < m; row++) {
    for (let column = 0; column < n; column++) {
      let sum = 0;
      for (let i = 0; i < k; i++) sum += at(a, transA ? i * m + row : row * k + i) * at(b, transB ? column * k + i : i * n + column);
      y[row * n + column] = alpha * sum;
    }
  }
  return y;
}
