import { type Bnb4bitNested, restoreAbsmax } from "../formats/index.ts";

/** Scales per second-level scale (bitsandbytes, `quantize_4bit` with compress_statistics). */
const NESTED_BLOCK_SIZE = 256;

/**
 * The 256 values of the 8-bit "dynamic" type (bitsandbytes
 * `create_dynamic_map(signed=True)`; Dettmers, 8-bit Approximations, 2016): for
 * each power of ten from 1e-6 to 1, 2^i midpoints of equal steps between 0.1
 * and 1, with both signs, and 0 and 1. Rounded to fp32 where torch on a CPU rounds, so
 * that it equals the map that checkpoints store bit for bit.
 */
function dynamicMap(): Float32Array {
  const f = Math.fround;
  const data = [0, 1];
  for (let i = 0; i < 7; i++) {
    const steps = 2 ** i;
    const step = f(f(1 - f(0.1)) / steps);
    // torch.linspace counts from both ends, each value a fused multiply-add (rounded once).
    const half = Math.floor((steps + 1) / 2);
    const boundary = (k: number): number => (k < half ? f(f(0.1) + step * k) : f(1 - step * (steps - k)));
    for (let k = 0; k < steps; k++) {
      const value = f(f(10 ** (i - 6)) * f(f(boundary(k) + boundary(k + 1)) / 2));
      data.push(value, -value);
    }
  }
  return Float32Array.from(data).sort();
}

let sharedMap: Float32Array | undefined;

/** Index of the value of `map` nearest to `value`; a tie takes the lower one. */
function nearest(map: Float32Array, value: number): number {
  let low = 0;
  let high = map.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((map[middle] as number) <= value) low = middle;
    else high = middle;
  }
  return (map[high] as number) - value < value - (map[low] as number) ? high : low;
}

/**
 * Quantizes the scales of a weight to 8 bits around their mean, each to the
 * nearest value. bitsandbytes looks codes up in a table of rounded positions, so
 * it is one off for some values next to a tie.
 *
 * @param offset mean of the scales; given only to repeat what another summation order found
 */
export function quantizeScales(absmax: Float32Array, offset?: number): { readonly absmax: Float32Array; readonly nested: Bnb4bitNested } {
  sharedMap ??= dynamicMap();
  const mean = Math.fround(offset ?? absmax.reduce((sum, scale) => sum + scale, 0) / absmax.length);
  const codes = new Uint8Array(absmax.length);
  const nestedAbsmax = new Float32Array(Math.ceil(absmax.length / NESTED_BLOCK_SIZE));
  for (let block = 0; block < nestedAbsmax.length; block++) {
    const start = block * NESTED_BLOCK_SIZE;
    const centred = absmax.slice(start, start + NESTED_BLOCK_SIZE).map((scale) => scale - mean);
    const scale = centred.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
    nestedAbsmax[block] = scale;
    // Equal scales leave nothing to encode: code 0, as bitsandbytes stores.
    if (scale === 0) continue;
    for (let i = 0; i < centred.length; i++) codes[start + i] = nearest(sharedMap, Math.fround((centred[i] as number) / scale));
  }
  const nested: Bnb4bitNested = { absmax: codes, nestedAbsmax, quantMap: sharedMap, offset: mean, blockSize: NESTED_BLOCK_SIZE };
  return { absmax: restoreAbsmax(nested), nested };
}
