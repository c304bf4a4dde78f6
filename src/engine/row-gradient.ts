/**
 * The gradient of an embedding [V, D]: only of the rows that an update reads, which are few beside the vocabulary. Rows are told in
 * ascending order, so that sums over them do not depend on the order in which tokens came.
 */
export class RowGradient {
  /** D */
  readonly width: number;
  readonly #rows = new Map<number, Float32Array>();
  /** Memory of rows that are no longer told, for those that come. */
  readonly #spare: Float32Array[] = [];

  constructor(width: number) {
    this.width = width;
  }

  /** Adds `values` [D] to a row. */
  add(row: number, values: Float32Array): void {
    let sum = this.#rows.get(row);
    if (sum === undefined) {
      sum = this.#spare.pop() ?? new Float32Array(this.width);
      sum.fill(0);
      this.#rows.set(row, sum);
    }
    for (let d = 0; d < sum.length; d++) sum[d] = (sum[d] as number) + (values[d] as number);
  }

  /** Rows that have a gradient, ascending. */
  rows(): readonly (readonly [row: number, gradient: Float32Array])[] {
    return [...this.#rows].sort(([a], [b]) => a - b);
  }

  /** Elements `start` to `end − 1` of the whole gradient, put into `out`. */
  read(start: number, end: number, out: Float32Array): Float32Array {
    const part = out.subarray(0, end - start).fill(0);
    const { width } = this;
    for (let row = Math.floor(start / width); row * width < end; row++) {
      const values = this.#rows.get(row);
      if (values === undefined) continue;
      const from = Math.max(start, row * width);
      const to = Math.min(end, (row + 1) * width);
      part.set(values.subarray(from - row * width, to - row * width), from - start);
    }
    return part;
  }

  /** Forgets all rows; their memory serves the next ones. */
  clear(): void {
    this.#spare.push(...this.#rows.values());
    this.#rows.clear();
  }
}

/** The pieces of memory that a gradient lies in, in order; what is in none of them is zero. */
export function gradientPieces(gradient: Float32Array | RowGradient): readonly Float32Array[] {
  return gradient instanceof RowGradient ? gradient.rows().map(([, values]) => values) : [gradient];
}

/** Elements `start` to `end − 1` of a gradient: a view, or put into `scratch`. */
export function readGradient(gradient: Float32Array | RowGradient, start: number, end: number, scratch: Float32Array): Float32Array {
  return gradient instanceof RowGradient ? gradient.read(start, end, scratch) : gradient.subarray(start, end);
}

/** A whole gradient of `length` values; new memory if it is kept by rows. */
export function denseGradient(gradient: Float32Array | RowGradient, length: number): Float32Array {
  return gradient instanceof RowGradient ? gradient.read(0, length, new Float32Array(length)) : gradient;
}
