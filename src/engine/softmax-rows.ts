/** What a slice of the vocabulary gives of each row: its logits [N, V'], their largest and Σ exp(x − largest) [N]. */
export interface SliceResult {
  readonly logits: Float32Array;
  readonly max: Float32Array;
  readonly sum: Float32Array;
}

interface TokenRange {
  readonly start: number;
  readonly tokens: number;
}

/** The softmax of rows whose logits come in slices of the vocabulary: its largest logit, its sum, and the label's logit. */
export class SoftmaxRows {
  readonly #targets: Int32Array;
  readonly #count: number;
  readonly #max: Float64Array;
  readonly #sum: Float64Array;
  readonly #labelLogit: Float64Array;

  /** @param count rows that are there; further targets are padding */
  constructor(targets: Int32Array, count: number) {
    this.#targets = targets;
    this.#count = count;
    this.#max = new Float64Array(targets.length).fill(Number.NEGATIVE_INFINITY);
    this.#sum = new Float64Array(targets.length);
    this.#labelLogit = new Float64Array(targets.length);
  }

  /** Takes in the next slice. */
  take({ start, tokens }: TokenRange, { logits, max, sum }: SliceResult): void {
    for (let i = 0; i < this.#targets.length; i++) {
      const [before, here] = [this.#max[i] as number, max[i] as number];
      const largest = Math.max(before, here);
      this.#sum[i] = (this.#sum[i] as number) * Math.exp(before - largest) + (sum[i] as number) * Math.exp(here - largest);
      this.#max[i] = largest;
      const column = (this.#targets[i] as number) - start;
      if (column >= 0 && column < tokens) this.#labelLogit[i] = logits[i * tokens + column] as number;
    }
  }

  /** Cross-entropy of a row, in nats: (max − x_label) + ln Σ, which stays exact where the label's probability underflows. */
  loss(row: number): number {
    return (this.#max[row] as number) - (this.#labelLogit[row] as number) + Math.log(this.#sum[row] as number);
  }

  /** What the gradient of the losses, each weighted alike, needs to know of `size` rows; padding weighs nothing. */
  gradientInputs(size: number, weight: number): Record<"max" | "scales" | "weights", Float32Array> {
    const weights = new Float32Array(size).fill(weight, 0, this.#count);
    const scales = Float32Array.from(weights, (own, i) => own / (this.#sum[i] as number));
    return { max: Float32Array.from(this.#max), scales, weights };
  }

  /** The column of each row's label in a slice; −1 where it is in another, or the row is padding. */
  labelsIn({ start, tokens }: TokenRange, size: number): Int32Array {
    return Int32Array.from({ length: size }, (_, i) => {
      const column = (this.#targets[i] as number) - start;
      return i < this.#count && column >= 0 && column < tokens ? column : -1;
    });
  }
}
