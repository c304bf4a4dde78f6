import { InternalError } from "../core/index.ts";
import { type Example, exampleLength, NO_LABEL } from "./example.ts";

/** What one forward and backward pass takes. All arrays are `[batch × sequence]`, row-major. */
export interface MicroBatch {
  readonly batch: number;
  readonly sequence: number;
  /** Padding holds the padding id. */
  readonly inputIds: Int32Array;
  /**
   * The id at its own position, or −100. The first token of a segment never has one: nothing predicts it, and shifting a
   * packed row by one must not make the last token of one segment predict the first of the next.
   */
  readonly labels: Int32Array;
  /** Positions for RoPE; each segment starts at 0, padding is 0. */
  readonly positions: Int32Array;
  /** 1, 2, 3 … for the segments of a row, 0 for padding; tokens attend only within their segment. */
  readonly segments: Int32Array;
  /** Tokens that are not padding. */
  readonly tokenCount: number;
  /** Labels that count in the loss, after the shift. */
  readonly labelTokenCount: number;
  /** Indices of the examples, row by row. */
  readonly examples: readonly (readonly number[])[];
}

/**
 * Shortest row of a graph; padding a few tokens to it costs less than compiling another shape.
 */
const SMALLEST_BUCKET = 16;
/** Four shapes: a padded row is on average filled to three quarters if lengths spread evenly. */
const BUCKET_COUNT = 4;

/** Sequence lengths that batches are padded to: `maxLength`, and halves of it down to an eighth, ascending. */
export function sequenceBuckets(maxLength: number): readonly number[] {
  const buckets = [maxLength];
  for (let i = 1; i < BUCKET_COUNT; i++) {
    // Multiples of eight, so that rows of floats fill whole vector registers.
    const half = Math.ceil(maxLength / 2 ** i / 8) * 8;
    if (half >= SMALLEST_BUCKET && half < (buckets[0] as number)) buckets.unshift(half);
  }
  return buckets;
}

/** Lays rows of examples out as one batch, each row padded at its end to the smallest bucket that holds the longest. */
export function layOut(
  rows: readonly (readonly number[])[],
  examples: readonly Example[],
  buckets: readonly number[],
  padId: number,
): MicroBatch {
  const exampleAt = (index: number): Example => {
    const example = examples[index];
    if (example === undefined) throw new InternalError(`a batch asks for example ${index} of ${examples.length}`);
    return example;
  };
  const used = rows.map((row) => row.reduce((sum, index) => sum + exampleLength(exampleAt(index)), 0));
  const longest = Math.max(0, ...used);
  const sequence = buckets.find((bucket) => bucket >= longest);
  if (sequence === undefined) throw new InternalError(`a row of ${longest} tokens is longer than the longest sequence, ${buckets.at(-1)}`);
  const size = rows.length * sequence;
  const inputIds = new Int32Array(size).fill(padId);
  const labels = new Int32Array(size).fill(NO_LABEL);
  const positions = new Int32Array(size);
  const segments = new Int32Array(size);
  let labelTokenCount = 0;
  for (const [r, row] of rows.entries()) {
    let at = r * sequence;
    for (const [s, index] of row.entries()) {
      const example = exampleAt(index);
      const ids = example.inputIds;
      const { length } = ids;
      inputIds.set(ids, at);
      labels.set(example.labels, at);
      labels[at] = NO_LABEL;
      segments.fill(s + 1, at, at + length);
      for (let i = 0; i < length; i++) {
        positions[at + i] = i;
        if (labels[at + i] !== NO_LABEL) labelTokenCount++;
      }
      at += length;
    }
  }
  return {
    batch: rows.length,
    sequence,
    inputIds,
    labels,
    positions,
    segments,
    tokenCount: used.reduce((a, b) => a + b, 0),
    labelTokenCount,
    examples: rows,
  };
}
