import { nameKey, philox } from "../core/index.ts";
import { floatBits } from "./float16.ts";

/** What fixes the random numbers of one rounding: a run's seed, which tensor, which update. */
export interface RoundingKey {
  readonly seed: number;
  /** Tells tensors of one run apart: the tensor's name. */
  readonly stream: string;
  /** Number of the update. */
  readonly step: number;
}

/** Finalizer with the lowest known bias of two multiplications (C. Wellons, "lowbias32"); a bijection on 32 bits. */
function mix(x: number): number {
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return x ^ (x >>> 16);
}

/**
 * fp32 → bf16 by stochastic rounding: up or down with probabilities that make
 * the expected value equal to the input, so that updates smaller than half a
 * bf16 step are not lost on average. Values that bf16 holds stay; a finite value
 * never becomes infinite; NaN becomes 0x7fc0.
 *
 * The result depends only on key, index and value: chunks of a tensor may be
 * rounded in any order. The key goes through Philox once per call; the words per
 * element come from two rounds of a 32-bit finalizer, since Philox for each
 * pair of elements would cost more than the optimizer's own update.
 *
 * @param firstIndex index of `values[0]` in the whole tensor
 */
export function f32ToBf16Stochastic(values: Float32Array, out: Uint16Array, key: RoundingKey, firstIndex = 0): Uint16Array {
  const words = new Uint32Array(4);
  philox(
    key.step >>> 0,
    Math.floor(key.step / 2 ** 32),
    nameKey(key.stream),
    Math.floor(firstIndex / 2 ** 33),
    key.seed >>> 0,
    0x62663136,
    words,
  );
  const [key0, key1] = words as unknown as [number, number];
  const bits = floatBits(values);
  for (let i = 0; i < bits.length; i++) {
    const u = bits[i] as number;
    const index = firstIndex + i;
    const size = u & 0x7fffffff;
    if (size >= 0x7f800000) {
      out[i] = size > 0x7f800000 ? 0x7fc0 : u >>> 16;
      continue;
    }
    // One 32-bit word serves two neighbours: the upper half the odd one.
    const pair = Math.floor(index / 2) >>> 0;
    const word = mix(mix(pair ^ key0) + key1);
    const random = index % 2 === 0 ? word & 0xffff : word >>> 16;
    const rounded = (u + random) >>> 16;
    // Beyond the largest bf16 the only neighbour above is infinity.
    out[i] = (rounded & 0x7fff) === 0x7f80 ? u >>> 16 : rounded;
  }
  return out;
}
