import { InternalError } from "../../core/index.ts";
import {
  type Compiled,
  compile,
  f32x4,
  f64x2,
  i16x8,
  i32,
  i32x4,
  Locals,
  lowerHalf,
  repeatWhile,
  upperHalf,
  type V128,
  v128,
  type WasmFunction,
} from "./wasm-assembler.ts";

/** The dtypes of nearly all weights. */
type KernelDtype = "BF16" | "F16" | "F32";

/** How two runs of floats differ. */
export interface FloatChange {
  /** Elements whose bits are not the same. */
  readonly changed: number;
  /** Largest |a − b| as the subtraction of fp64 gives it; NaN if a value of either side is not finite. */
  readonly maxAbs: number;
  /** Largest |a|; means nothing if a value is not finite. */
  readonly largest: number;
}

interface Format {
  readonly bytes: 2 | 4;
  /** All bits but the sign. Without it, floats are ordered as their bits are, infinity and NaN last. */
  readonly sizeBits: number;
  readonly infinity: number;
  /** Four values, whose bits stand in lanes of 32 bits, as fp32; exact for all that are finite. */
  readonly toF32: (bits: V128) => V128;
  /** The value of the bits without a sign. */
  readonly magnitudeOf: (size: number) => number;
}

const constant = (bits: number): V128 => i32x4.splat(i32.const(bits | 0));
const F32_BITS = new Uint32Array(1);
const F32_VALUE = new Float32Array(F32_BITS.buffer);
const f32Of = (bits: number): number => {
  F32_BITS[0] = bits;
  return F32_VALUE[0] as number;
};

/**
 * fp16 has 10 bits of fraction and exponents of bias 15 (fp32: 23 and 127). Below 2⁻¹⁴ the exponent is
 * zero and the value is the fraction × 2⁻²⁴, made by a conversion: subnormal fp32 would be slow on many processors.
 */
const F16_SUBNORMAL_END = 0x400;
const F16_UNIT = 2 ** -24;
const F16_REBIAS = (127 - 15) << 23;
const F32_BITS_OF_F16_UNIT = (127 - 24) << 23;

function f16ToF32(bits: V128): V128 {
  const size = v128.and(bits, constant(0x7fff));
  const normal = i32x4.add(i32x4.shiftLeft(size, i32.const(13)), constant(F16_REBIAS));
  const subnormal = f32x4.multiply(f32x4.fromI32x4(size), constant(F32_BITS_OF_F16_UNIT));
  const unsigned = v128.bitselect(subnormal, normal, i32x4.lessThan(size, constant(F16_SUBNORMAL_END)));
  return v128.or(unsigned, i32x4.shiftLeft(v128.and(bits, constant(0x8000)), i32.const(16)));
}

const FORMATS: Readonly<Record<KernelDtype, Format>> = {
  BF16: {
    bytes: 2,
    sizeBits: 0x7fff,
    infinity: 0x7f80,
    toF32: (bits) => i32x4.shiftLeft(bits, i32.const(16)),
    magnitudeOf: (size) => f32Of(size << 16),
  },
  F16: {
    bytes: 2,
    sizeBits: 0x7fff,
    infinity: 0x7c00,
    toF32: f16ToF32,
    magnitudeOf: (size) => (size < F16_SUBNORMAL_END ? size * F16_UNIT : f32Of((size << 13) + F16_REBIAS)),
  },
  F32: { bytes: 4, sizeBits: 0x7fff_ffff, infinity: 0x7f80_0000, toF32: (bits) => bits, magnitudeOf: f32Of },
};

/** Bytes of each side that one call compares: two blocks fit the 256 KiB of a small L2 cache. */
const BLOCK_BYTES = 65_536;
const VECTOR_BYTES = 16;
/** Where what a call found lies in its memory, and then the two blocks. */
const AT = { maxAbs: 0, sizesA: 16, sizesB: 32, blockA: 64, blockB: 64 + BLOCK_BYTES } as const;
const PAGES = 3;

/** `(a, b, end)`: compares from addresses a and b on, up to `end` of a; returns how many elements are the same. */
function comparison({ bytes, sizeBits, toF32 }: Format): WasmFunction {
  const locals = new Locals(3);
  const [a, b, end, same] = [locals.parameter(0), locals.parameter(1), locals.parameter(2), locals.i32()];
  const [x, y, floatX, floatY] = [locals.v128(), locals.v128(), locals.v128(), locals.v128()];
  const [maxAbs, sizesA, sizesB] = [locals.v128(), locals.v128(), locals.v128()];
  const lanes = bytes === 2 ? i16x8 : i32x4;
  const mask = lanes.splat(i32.const(sizeBits));
  const raise = (sizes: typeof sizesA, value: V128) => sizes.set(lanes.max(sizes.get, v128.and(value, mask)));
  const advance = (address: typeof a) => address.set(i32.add(address.get, i32.const(VECTOR_BYTES)));
  // fp64, because the difference of two fp32 may need more bits than fp32 has.
  const difference = (half: (value: V128) => V128): V128 =>
    f64x2.abs(f64x2.subtract(f64x2.fromLowerF32x4(half(floatX.get)), f64x2.fromLowerF32x4(half(floatY.get))));
  const measure = (fourOf: (value: V128) => V128) => [
    floatX.set(toF32(fourOf(x.get))),
    floatY.set(toF32(fourOf(y.get))),
    maxAbs.set(f64x2.max(maxAbs.get, f64x2.max(difference(lowerHalf), difference(upperHalf)))),
  ];
  const step = [
    x.set(v128.load(a.get)),
    y.set(v128.load(b.get)),
    same.set(i32.add(same.get, i32.popcnt(lanes.bitmask(lanes.equal(x.get, y.get))))),
    raise(sizesA, x.get),
    raise(sizesB, y.get),
    ...(bytes === 2 ? [i32x4.lowerOfI16x8, i32x4.upperOfI16x8] : [(value: V128) => value]).flatMap(measure),
    advance(a),
    advance(b),
  ];
  const found = [
    v128.store(i32.const(AT.maxAbs), maxAbs.get),
    v128.store(i32.const(AT.sizesA), sizesA.get),
    v128.store(i32.const(AT.sizesB), sizesB.get),
  ];
  return locals.function([repeatWhile(step, i32.lessThan(a.get, end.get)), ...found], same.get);
}

interface Kernel {
  readonly memory: Uint8Array;
  readonly maxAbs: Float64Array;
  /** The largest size of each lane, of A and then of B, in lanes of 2 and of 4 bytes. */
  readonly sizes: { readonly 2: Uint16Array; readonly 4: Uint32Array };
  readonly compare: Compiled<KernelDtype>["functions"];
}

function makeKernel(): Kernel | null {
  const compiled = compile(PAGES, { BF16: comparison(FORMATS.BF16), F16: comparison(FORMATS.F16), F32: comparison(FORMATS.F32) });
  if (compiled === null) return null;
  const { memory, functions } = compiled;
  return {
    memory: new Uint8Array(memory),
    maxAbs: new Float64Array(memory, AT.maxAbs, VECTOR_BYTES / 8),
    sizes: {
      2: new Uint16Array(memory, AT.sizesA, (2 * VECTOR_BYTES) / 2),
      4: new Uint32Array(memory, AT.sizesA, (2 * VECTOR_BYTES) / 4),
    },
    compare: functions,
  };
}

let made: Kernel | null | undefined;

const isKernelDtype = (dtype: string): dtype is KernelDtype => Object.hasOwn(FORMATS, dtype);

/**
 * Compares bf16, fp16 or fp32 by bits and values, 16 bytes at a time. Null for any other dtype, and
 * on machines without SIMD: one element at a time must do there.
 */
export function compareFloats(dtype: string, a: Uint8Array, b: Uint8Array): FloatChange | null {
  if (!isKernelDtype(dtype)) return null;
  if (made === undefined) made = makeKernel();
  return made === null ? null : compareBlocks(made, dtype, a, b);
}

function compareBlocks({ memory, maxAbs: found, sizes, compare }: Kernel, dtype: KernelDtype, a: Uint8Array, b: Uint8Array): FloatChange {
  if (a.byteLength !== b.byteLength) throw new InternalError("floats of one dtype were compared with another number of them");
  const { bytes, infinity, magnitudeOf } = FORMATS[dtype];
  const lanes = sizes[bytes];
  let same = 0;
  let maxAbs = 0;
  let largestA = 0;
  let largestB = 0;
  for (let start = 0; start < a.byteLength; start += BLOCK_BYTES) {
    const length = Math.min(BLOCK_BYTES, a.byteLength - start);
    memory.set(a.subarray(start, start + length), AT.blockA);
    memory.set(b.subarray(start, start + length), AT.blockB);
    const padded = Math.ceil(length / VECTOR_BYTES) * VECTOR_BYTES;
    // Zeros on both sides count as the same (taken off again) and raise no maximum.
    memory.fill(0, AT.blockA + length, AT.blockA + padded);
    memory.fill(0, AT.blockB + length, AT.blockB + padded);
    same += compare[dtype](AT.blockA, AT.blockB, AT.blockA + padded) - (padded - length) / bytes;
    maxAbs = Math.max(maxAbs, found[0] as number, found[1] as number);
    const half = lanes.length / 2;
    for (let i = 0; i < half; i++) {
      largestA = Math.max(largestA, lanes[i] as number);
      largestB = Math.max(largestB, lanes[half + i] as number);
    }
  }
  const allFinite = Math.max(largestA, largestB) < infinity;
  return { changed: a.byteLength / bytes - same, maxAbs: allFinite ? maxAbs : Number.NaN, largest: magnitudeOf(largestA) };
}
