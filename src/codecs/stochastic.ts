import { nameKey, philox } from "../core/index.ts";
import { Kernels } from "../kernels/index.ts";
import { floatBits } from "./float16.ts";

/** What fixes the random numbers of one rounding: a run's seed, which tensor, which update. */
export interface RoundingKey {
  readonly seed: number;
  /** Tells tensors of one run apart: the tensor's name. */
  readonly stream: string;
  /** Number of the update. */
  readonly step: number;
}

/** Keeps these draws apart from others of the same seed, step and name ("bf16" in ASCII). */
const STREAM = 0x62663136;

/** Finalizer with the lowest known bias of two multiplications (C. Wellons, "lowbias32"); a bijection on 32 bits. */
function mix(x: number): number {
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return x ^ (x >>> 16);
}

/** One value's bits, rounded up if the 16 that are cut off and 16 random ones carry. */
function roundBits(u: number, random: number): number {
  const size = u & 0x7fffffff;
  if (size >= 0x7f800000) return size > 0x7f800000 ? 0x7fc0 : u >>> 16;
  const rounded = (u + random) >>> 16;
  // Beyond the largest bf16 the only neighbour above is infinity.
  return (rounded & 0x7fff) === 0x7f80 ? u >>> 16 : rounded;
}

/** Values that are taken into the kernels' memory at a time. */
const CHUNK = 2 ** 15;

let shared: Kernels<"values" | "out"> | undefined;

/** Rounds as many values as are a multiple of eight, and says how many that was. */
function roundEights(values: Float32Array, out: Uint16Array, [key0, key1]: readonly [number, number], firstPair: number): number {
  shared ??= new Kernels({ values: 4 * CHUNK, out: 2 * CHUNK });
  const { functions, buffer } = shared;
  const all = values.length - (values.length % 8);
  for (let start = 0; start < all; start += CHUNK) {
    const count = Math.min(CHUNK, all - start);
    shared.floats("values", count).set(values.subarray(start, start + count));
    functions.roundToBf16(shared.at("values"), shared.at("out"), count, key0 | 0, key1 | 0, (firstPair + start / 2) | 0);
    out.set(new Uint16Array(buffer, shared.at("out"), count), start);
  }
  return all;
}

/**
 * fp32 → bf16 by stochastic rounding: up or down with probabilities that make
 * the expected value equal to the input, so that updates smaller than half a
 * bf16 step are not lost on average. Values that bf16 holds stay; a finite value
 * never becomes infinite; NaN becomes 0x7fc0.
 *
 * The result depends only on key, index (modulo 2^33) and value: chunks of a
 * tensor may be rounded in any order. The key goes through Philox once per call;
 * the words per pair of elements come from two rounds of a 32-bit finalizer,
 * since Philox for each pair would cost more than the optimizer's own update.
 *
 * @param firstIndex index of `values[0]` in the whole tensor
 */
export function f32ToBf16Stochastic(values: Float32Array, out: Uint16Array, key: RoundingKey, firstIndex = 0): Uint16Array {
  const words = new Uint32Array(4);
  philox(key.step >>> 0, Math.floor(key.step / 2 ** 32), nameKey(key.stream), STREAM, key.seed >>> 0, 0, words);
  const key0 = words[0] as number;
  const key1 = words[1] as number;
  const bits = floatBits(values);
  const done = firstIndex % 2 === 0 ? roundEights(values, out, [words[0] as number, words[1] as number], firstIndex / 2) : 0;
  // One word serves two neighbours: its lower half the even index, its upper half the odd one.
  let pair = Math.floor((firstIndex + done) / 2) | 0;
  for (let i = done - (firstIndex % 2); i < bits.length; i += 2, pair = (pair + 1) | 0) {
    const word = mix((mix(pair ^ key0) + key1) | 0);
    if (i >= 0) out[i] = roundBits(bits[i] as number, word & 0xffff);
    if (i + 1 < bits.length) out[i + 1] = roundBits(bits[i + 1] as number, word >>> 16);
  }
  return out;
}
