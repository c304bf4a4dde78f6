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

/**
 * Positions in [−1, 1] at which bitsandbytes' CPU quantizer (`build_quantize_lut` in csrc/cpu_ops.cpp, 0.50)
 * knows the code; a value takes that of the position it rounds to. Next to a tie this is one off the
 * nearest code, and a base quantized here must be the one that bitsandbytes makes.
 */
const POSITIONS = 65_536;

/** The map, and its code at each position: the number of midpoints strictly below. */
function codeTable(map: Float32Array): Uint8Array {
  const f = Math.fround;
  const codes = new Uint8Array(POSITIONS);
  let code = 0;
  for (let i = 0; i < POSITIONS; i++) {
    const position = f(-1 + f((2 * i) / (POSITIONS - 1)));
    while (code < map.length - 1 && f(0.5 * f((map[code] as number) + (map[code + 1] as number))) < position) code++;
    codes[i] = code;
  }
  return codes;
}

/** Index of the position to which a scaled value rounds, in fp32. */
function positionOf(scaled: number): number {
  const f = Math.fround;
  const clamped = Math.max(-1, Math.min(1, scaled));
  return Math.trunc(f(f(f(f(clamped + 1) * 0.5) * (POSITIONS - 1)) + 0.5));
}

let sharedMap: Float32Array | undefined;
let sharedCodes: Uint8Array | undefined;

/**
 * Quantizes the scales of a weight to 8 bits around their mean, code for code as
 * bitsandbytes 0.50 does on a CPU.
 *
 * @param offset mean of the scales; given only to repeat what another summation order found
 */
export function quantizeScales(absmax: Float32Array, offset?: number): { readonly absmax: Float32Array; readonly nested: Bnb4bitNested } {
  sharedMap ??= dynamicMap();
  sharedCodes ??= codeTable(sharedMap);
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
      codes[start + i] = sharedCodes[positionOf(Math.fround((centred[i] as number) * inverse))] as number;
    }
  }
  const nested: Bnb4bitNested = { absmax: codes, nestedAbsmax, quantMap: sharedMap, offset: mean, blockSize: NESTED_BLOCK_SIZE };
  return { absmax: restoreAbsmax(nested), nested };
}
