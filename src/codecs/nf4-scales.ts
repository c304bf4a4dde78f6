import { type Bnb4bitNested, restoreAbsmax } from "../formats/index.ts";
import { dynamicType } from "./dynamic-8bit.ts";

/** Scales per second-level scale (bitsandbytes, `quantize_4bit` with compress_statistics). */
const NESTED_BLOCK_SIZE = 256;

/**
 * Quantizes the scales of a weight to 8 bits around their mean, code for code as
 * bitsandbytes 0.50 does on a CPU.
 *
 * @param offset mean of the scales; given only to repeat what another summation order found
 */
export function quantizeScales(absmax: Float32Array, offset?: number): { readonly absmax: Float32Array; readonly nested: Bnb4bitNested } {
  const { map, codeOf } = dynamicType(true);
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
    const inverse = Math.fround(1 / scale);
    for (let i = 0; i < centred.length; i++) {
      codes[start + i] = codeOf(Math.fround((centred[i] as number) * inverse));
    }
  }
  const nested: Bnb4bitNested = { absmax: codes, nestedAbsmax, quantMap: map, offset: mean, blockSize: NESTED_BLOCK_SIZE };
  return { absmax: restoreAbsmax(nested), nested };
}
