import { HeirloomError } from "../../core/index.ts";
import type { GroupDifference, Rounding } from "./api.ts";

/** Sums of squares and the largest magnitude of a difference, beside the square of what it is a difference of. */
class Tally {
  maxAbs = 0;
  square = 0;
  scale = 0;
  tensors = 0;

  /** Adds the differences `a − b`, relative to `b`. */
  add(a: Float32Array, b: Float32Array): void {
    let [maxAbs, square, scale] = [this.maxAbs, 0, 0];
    for (let i = 0; i < a.length; i++) {
      const [x, y] = [a[i] as number, b[i] as number];
      const difference = Math.abs(x - y);
      if (difference > maxAbs) maxAbs = difference;
      square += difference * difference;
      scale += y * y;
    }
    this.maxAbs = maxAbs;
    this.square += square;
    this.scale += scale;
  }

  get relative(): number {
    return this.scale > 0 ? Math.sqrt(this.square / this.scale) : 0;
  }
}

/** How the base as trained (dequantized) differs from its original weights, by the last part of the modules' names. */
export class BaseDifference {
  readonly #groups = new Map<string, Tally>();

  /** @param module path of the module whose weights these are */
  add(module: string, trained: Float32Array, original: Float32Array, isFirst: boolean): void {
    const group = module.slice(module.lastIndexOf(".") + 1);
    const tally = this.#groups.get(group) ?? new Tally();
    this.#groups.set(group, tally);
    if (isFirst) tally.tensors++;
    tally.add(trained, original);
  }

  get groups(): GroupDifference[] {
    return Array.from(this.#groups, ([group, { tensors, maxAbs, relative }]) => ({ group, tensors, maxAbs, relative }));
  }
}

/** What rounding to the output's dtype takes from the adapter's own change. */
export class RoundingTally {
  readonly #error = new Tally();
  #change = 0;

  add(before: Float32Array, merged: Float32Array, rounded: Float32Array): void {
    this.#error.add(rounded, merged);
    let change = 0;
    for (let i = 0; i < merged.length; i++) change += ((merged[i] as number) - (before[i] as number)) ** 2;
    this.#change += change;
  }

  get rounding(): Rounding {
    const { maxAbs, square } = this.#error;
    return { maxAbs, shareOfChange: this.#change > 0 ? Math.sqrt(square / this.#change) : 0 };
  }
}

/** Refuses values that are not numbers, or beyond what the dtype holds. @throws TENSOR_NOT_FINITE */
export function requireFinite(merged: Float32Array, rounded: Float32Array, name: string, dtype: string): void {
  for (let i = 0; i < merged.length; i++) {
    // x − x is 0 exactly for finite x.
    if ((rounded[i] as number) - (rounded[i] as number) === 0) continue;
    const isOverflow = Number.isFinite(merged[i]);
    throw new HeirloomError(
      "TENSOR_NOT_FINITE",
      isOverflow ? `${merged[i]} is beyond the largest number of ${dtype}` : `a merged value is ${merged[i]}`,
      {
        where: name,
        hint: isOverflow ? "merge with --dtype bf16" : "the base or the adapter is damaged; heirloom verify --values says which tensor",
        details: { tensor: name, value: String(merged[i]) },
      },
    );
  }
}
