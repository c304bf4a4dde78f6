import { nameKey } from "../core/index.ts";

/** Where in a run a mask belongs; equal positions give equal masks, so nothing is stored for the backward pass or a resume. */
export interface DropoutPosition {
  readonly seed: number;
  /** Updates done before this one. */
  readonly update: number;
  /** Micro-step within the update. */
  readonly microStep: number;
}

/** A 32-bit mixing function: two multiply-xorshift rounds, bijective, every input bit reaches every output bit. */
function mix(word: number): number {
  word ^= word >>> 16;
  word = Math.imul(word, 0x7feb352d);
  word ^= word >>> 15;
  word = Math.imul(word, 0x846ca68b);
  return (word ^ (word >>> 16)) >>> 0;
}

/**
 * Fills `mask` with 1 (kept) and 0 (dropped, with probability `rate`) for one
 * linear layer's input. Counter-based: element i depends on i, the position and
 * the layer's name only. A 32-bit word serves two elements, so the rate is met
 * to 1/65536.
 */
export function fillDropoutMask(mask: Uint8Array, rate: number, position: DropoutPosition, moduleName: string): void {
  const threshold = Math.round(rate * 65536);
  let key = mix(position.seed ^ nameKey(moduleName));
  key = mix(key ^ Math.imul(position.update, 0x9e3779b9));
  key = mix(key ^ Math.imul(position.microStep + 1, 0x85ebca6b));
  for (let i = 0, counter = 0; i < mask.length; i += 2, counter++) {
    const word = mix(Math.imul(counter, 0x9e3779b9) ^ key);
    mask[i] = (word & 0xffff) >= threshold ? 1 : 0;
    if (i + 1 < mask.length) mask[i + 1] = word >>> 16 >= threshold ? 1 : 0;
  }
}
