import { type ModelSpec, ropeAttentionFactor, ropeFrequencies } from "../model/index.ts";

/** The rows of cos and sin that a batch's positions need. */
export interface RotaryRows {
  /** [tokens, d/2] */
  readonly cos: Float32Array;
  /** [tokens, d/2] */
  readonly sin: Float32Array;
}

/** Cosines and sines of every position seen so far, grown by doubling; rows are copied out per batch. */
export class RotaryTable {
  readonly #frequencies: Float32Array;
  readonly #attentionFactor: number;
  readonly #half: number;
  #cos = new Float32Array(0);
  #sin = new Float32Array(0);

  constructor(spec: ModelSpec) {
    this.#frequencies = Float32Array.from(ropeFrequencies(spec));
    this.#attentionFactor = ropeAttentionFactor(spec);
    this.#half = this.#frequencies.length;
  }

  #grow(positions: number): void {
    const have = this.#cos.length / this.#half;
    if (positions <= have) return;
    let size = Math.max(256, have);
    while (size < positions) size *= 2;
    this.#cos = new Float32Array(size * this.#half);
    this.#sin = new Float32Array(size * this.#half);
    for (let position = 0; position < size; position++) {
      for (let i = 0; i < this.#half; i++) {
        // transformers multiplies in fp32 before it takes the cosine; at large positions that rounding is part of the model.
        const angle = Math.fround(position * (this.#frequencies[i] as number));
        this.#cos[position * this.#half + i] = Math.cos(angle) * this.#attentionFactor;
        this.#sin[position * this.#half + i] = Math.sin(angle) * this.#attentionFactor;
      }
    }
  }

  /** Copies the rows of `positions` [tokens] into `into`. */
  fill(positions: Int32Array, into: RotaryRows): void {
    let highest = 0;
    for (const position of positions) if (position > highest) highest = position;
    this.#grow(highest + 1);
    for (let t = 0; t < positions.length; t++) {
      const from = (positions[t] as number) * this.#half;
      into.cos.set(this.#cos.subarray(from, from + this.#half), t * this.#half);
      into.sin.set(this.#sin.subarray(from, from + this.#half), t * this.#half);
    }
  }
}
