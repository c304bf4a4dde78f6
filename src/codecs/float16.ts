/*
 * bf16: sign, 8 exponent bits, 7 of the fraction: the upper half of an fp32.
 * fp16: sign, 5 exponent bits, 10 of the fraction (IEEE 754 binary16).
 * All arrays are in the machine's byte order, which Node has little-endian only
 * on the platforms that it is released for, as safetensors files are.
 */
/** torch's bf16 for every NaN (c10/util/BFloat16.h). */
const BF16_NAN = 0x7fc0;
const F16_NAN = 0x7e00;

/** 16-bit units of little-endian bytes, copied only if they do not lie at an even offset. */
function asUint16(bytes: Uint8Array | Uint16Array): Uint16Array {
  if (bytes instanceof Uint16Array) return bytes;
  const aligned = bytes.byteOffset % 2 === 0 ? bytes : new Uint8Array(bytes);
  return new Uint16Array(aligned.buffer, aligned.byteOffset, aligned.byteLength >> 1);
}

/** The bit patterns of `values`, sharing their memory. */
export function floatBits(values: Float32Array): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, values.length);
}

/** bf16 → fp32, exact. */
export function bf16ToF32(source: Uint8Array | Uint16Array, out: Float32Array = new Float32Array(asUint16(source).length)): Float32Array {
  const units = asUint16(source);
  const bits = floatBits(out);
  for (let i = 0; i < units.length; i++) bits[i] = (units[i] as number) << 16;
  return out;
}

/** fp32 → bf16, to nearest, ties to even, as torch; NaN becomes 0x7fc0. */
export function f32ToBf16(values: Float32Array, out: Uint16Array = new Uint16Array(values.length)): Uint16Array {
  const bits = floatBits(values);
  for (let i = 0; i < bits.length; i++) {
    const u = bits[i] as number;
    out[i] = (u & 0x7fffffff) > 0x7f800000 ? BF16_NAN : (u + 0x7fff + ((u >>> 16) & 1)) >>> 16;
  }
  return out;
}

function f16Value(unit: number): number {
  const sign = unit & 0x8000 ? -1 : 1;
  const exponent = (unit >>> 10) & 31;
  const fraction = unit & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/** All 65,536 values of fp16 (256 KiB), made at first use: a look-up is 5 times as fast as the arithmetic. */
let f16Table: Float32Array | undefined;

/** The value of every fp16 unit. */
export function f16Values(): Float32Array {
  f16Table ??= Float32Array.from({ length: 65_536 }, (_, unit) => f16Value(unit));
  return f16Table;
}

/** fp16 → fp32, exact. */
export function f16ToF32(source: Uint8Array | Uint16Array, out: Float32Array = new Float32Array(asUint16(source).length)): Float32Array {
  const values = f16Values();
  const units = asUint16(source);
  for (let i = 0; i < units.length; i++) out[i] = values[units[i] as number] as number;
  return out;
}

/** fp32 bits → fp16 bits, to nearest, ties to even. */
function f16Unit(u: number): number {
  const sign = (u >>> 16) & 0x8000;
  const size = u & 0x7fffffff;
  if (size > 0x7f800000) return F16_NAN;
  // From 65520 on (0x477ff000) the nearest is infinity.
  if (size >= 0x477ff000) return sign | 0x7c00;
  if (size >= 0x38800000) return sign | ((size - 0x38000000 + 0xfff + ((size >>> 13) & 1)) >>> 13);
  // Subnormal: below half of the smallest one (0x33000000) is zero.
  if (size <= 0x33000000) return sign;
  const shift = 126 - (size >>> 23);
  const fraction = (size & 0x7fffff) | 0x800000;
  const half = 1 << (shift - 1);
  return sign | ((fraction + half - 1 + ((fraction >>> shift) & 1)) >>> shift);
}

/** fp32 → fp16, to nearest, ties to even, as torch; values from 65520 on become infinite. */
export function f32ToF16(values: Float32Array, out = new Uint16Array(values.length)): Uint16Array {
  const bits = floatBits(values);
  for (let i = 0; i < bits.length; i++) out[i] = f16Unit(bits[i] as number);
  return out;
}
