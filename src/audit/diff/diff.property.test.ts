import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeToF32 } from "../../codecs/index.ts";
import { compareFloats } from "./float-kernel.ts";
import { ChangeMeter, type TensorChange } from "./tensor-change.ts";

const WIDTHS = { BF16: 2, F16: 2, F32: 4, F64: 8 } as const;
type Dtype = keyof typeof WIDTHS;

interface Chunk {
  readonly a: Uint8Array;
  readonly b: Uint8Array;
  /** Passed over as equal, and then looked at for its largest value only. */
  readonly skipped: boolean;
}

const valuesOf = (dtype: Dtype, bytes: Uint8Array): Float32Array | Float64Array =>
  dtype === "F64" ? new Float64Array(bytes.slice().buffer) : decodeToF32(dtype, bytes);

/** The plain definition, one element at a time in fp64. */
function plainly(dtype: Dtype, chunks: readonly Chunk[], elements: number): TensorChange {
  const width = WIDTHS[dtype];
  let changed = 0;
  let maxAbs = 0;
  let largest = 0;
  let notFinite = 0;
  for (const { a, b, skipped } of chunks) {
    const valuesB = valuesOf(dtype, b);
    for (const [i, x] of valuesOf(dtype, a).entries()) {
      if (!Number.isNaN(x)) largest = Math.max(largest, Math.abs(x));
      if (skipped) continue;
      const difference = Math.abs(x - (valuesB[i] as number));
      if (Number.isNaN(difference)) notFinite++;
      else maxAbs = Math.max(maxAbs, difference);
      if (Buffer.compare(a.subarray(i * width, (i + 1) * width), b.subarray(i * width, (i + 1) * width)) !== 0) changed++;
    }
  }
  return { changed, elements, maxAbs, maxRel: largest === 0 ? null : maxAbs / largest, notFinite };
}

/** Whole numbers below 2³² that a seed gives (xorshift). */
function numbersOf(seed: number): () => number {
  let state = seed | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

/** How the bits of a side come about: any at all; finite ones; the smallest, subnormal ones with them. */
type Bits = "any" | "finite" | "small";
/** And those of B: others; the same but for the lowest bits; mostly the same. */
type Change = "other" | "near" | "few";

/** Clears bits of each element's highest byte, which holds the exponent: infinity and NaN have all of them. */
const TOP_MASK: Readonly<Record<Bits, number>> = { any: 0xff, finite: 0xbf, small: 0x80 };

function fill(dtype: Dtype, bits: Bits, next: () => number, bytes: Uint8Array): void {
  const width = WIDTHS[dtype];
  for (let i = 0; i < bytes.length; i++) bytes[i] = next() & (i % width === width - 1 ? TOP_MASK[bits] : 0xff);
}

function chunkOf(dtype: Dtype, { seed, bits, change, elements, offset, skipped }: Drawn): Chunk {
  const width = WIDTHS[dtype];
  const next = numbersOf(seed);
  // Views that begin at any byte of their buffers, as those of a source that reads by itself may.
  const [a, b] = [0, 1].map(() => new Uint8Array(elements * width + offset).subarray(offset)) as [Uint8Array, Uint8Array];
  fill(dtype, bits, next, a);
  if (change === "other") fill(dtype, bits, next, b);
  else {
    b.set(a);
    for (let i = 0; i < b.length; i += width) if (change === "near" || next() % 50 === 0) b[i] = (b[i] as number) ^ (next() & 3);
  }
  return { a, b: skipped ? a : b, skipped };
}

interface Drawn {
  readonly seed: number;
  readonly bits: Bits;
  readonly change: Change;
  readonly elements: number;
  readonly offset: number;
  readonly skipped: boolean;
}

const drawn = fc.record<Drawn>({
  seed: fc.integer(),
  bits: fc.constantFrom<Bits[]>("any", "finite", "small"),
  change: fc.constantFrom<Change[]>("other", "near", "few"),
  // A block of the kernel is 64 KiB: 32768 elements of two bytes.
  elements: fc.oneof(
    { weight: 8, arbitrary: fc.integer({ min: 1, max: 70 }) },
    { weight: 1, arbitrary: fc.integer({ min: 32_760, max: 32_780 }) },
  ),
  offset: fc.nat(3),
  skipped: fc.boolean(),
});
const dtypes = fc.constantFrom<Dtype[]>("BF16", "F16", "F32", "F64");

describe("ChangeMeter", () => {
  it("measures any bits exactly as the plain definition does", () => {
    fc.assert(
      fc.property(dtypes, fc.array(drawn, { minLength: 1, maxLength: 3 }), (dtype, plan) => {
        const chunks = plan.map((chunk) => chunkOf(dtype, chunk));
        const elements = chunks.reduce((sum, { a }) => sum + a.byteLength / WIDTHS[dtype], 0);
        const meter = new ChangeMeter(dtype, dtype, elements);
        for (const { a, b, skipped } of chunks) skipped ? meter.addSame(a) : meter.add(a, b);
        expect(meter.result()).toEqual(plainly(dtype, chunks, elements));
      }),
      { numRuns: 2000 },
    );
  });

  it("measures every finite value of 16 bits as the plain definition does", () => {
    for (const [dtype, infinity] of [
      ["BF16", 0x7f80],
      ["F16", 0x7c00],
    ] as const) {
      const units = Uint16Array.from({ length: 65_536 }, (_, unit) => unit).filter((unit) => (unit & 0x7fff) < infinity);
      // One pair a time, so that no difference hides behind a larger one; 7919 is a prime: pairs of all distances.
      for (const [i, unit] of units.entries()) {
        const a = new Uint8Array(Uint16Array.of(unit).buffer);
        const b = new Uint8Array(Uint16Array.of(units[(i * 7919) % units.length] as number).buffer);
        const [x, y] = [decodeToF32(dtype, a)[0] as number, decodeToF32(dtype, b)[0] as number];
        const found = compareFloats(dtype, a, b);
        if (found?.maxAbs !== Math.abs(x - y) || found.largest !== Math.abs(x))
          expect(found).toMatchObject({ maxAbs: Math.abs(x - y), largest: Math.abs(x) });
      }
    }
  });
});
