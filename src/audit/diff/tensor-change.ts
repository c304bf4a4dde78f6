import { bf16ToF32, decodeToF32, f16ToF32, isFloatDtype } from "../../codecs/index.ts";
import { dtypeBits, type SafetensorsDtype } from "../../formats/index.ts";

/** How one tensor differs between two files. */
export interface TensorChange {
  /** Elements that are not the same. */
  readonly changed: number;
  readonly elements: number;
  /** Largest |B − A|; null where the dtype's values are not read here. */
  readonly maxAbs: number | null;
  /** `maxAbs` over the largest |A|; null where there is none or it is zero. */
  readonly maxRel: number | null;
  /** Elements whose difference is NaN: one side, or both, are not finite. */
  readonly notFinite: number;
}

/** What one chunk adds. */
interface ChunkChange {
  readonly changed: number;
  readonly maxAbs: number;
  readonly largest: number;
}

type Values = Float32Array | Float64Array | Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array | Uint32Array;

/** All bits of a 16-bit float but its sign. */
const SIZE_BITS = 0x7fff;

/** All values of a 16-bit float by its bits (256 KiB): two look-ups are faster than two conversions. */
function tableOf(decode: (units: Uint16Array) => Float32Array): () => Float32Array {
  let table: Float32Array | undefined;
  return () => {
    table ??= decode(Uint16Array.from({ length: 65_536 }, (_, unit) => unit));
    return table;
  };
}

const TABLES = { BF16: tableOf((units) => bf16ToF32(units)), F16: tableOf((units) => f16ToF32(units)) } as const;

/**
 * Compares 16-bit floats by their bits, four at a time, with branches that are seldom taken: Math.max
 * and conditional sums take half as long again, one at a time twice as long. NaN gives `maxAbs` NaN.
 */
function compare16(a: Uint16Array, b: Uint16Array, table: Float32Array): ChunkChange {
  let same = 0;
  let largest = 0;
  let largestB = 0;
  let d0 = 0;
  let d1 = 0;
  let d2 = 0;
  let d3 = 0;
  const whole = a.length - (a.length % 4);
  for (let i = 0; i < whole; i += 4) {
    const x0 = a[i] as number;
    const x1 = a[i + 1] as number;
    const x2 = a[i + 2] as number;
    const x3 = a[i + 3] as number;
    const y0 = b[i] as number;
    const y1 = b[i + 1] as number;
    const y2 = b[i + 2] as number;
    const y3 = b[i + 3] as number;
    if (x0 === y0) same++;
    if (x1 === y1) same++;
    if (x2 === y2) same++;
    if (x3 === y3) same++;
    if ((x0 & SIZE_BITS) > largest) largest = x0 & SIZE_BITS;
    if ((x1 & SIZE_BITS) > largest) largest = x1 & SIZE_BITS;
    if ((x2 & SIZE_BITS) > largest) largest = x2 & SIZE_BITS;
    if ((x3 & SIZE_BITS) > largest) largest = x3 & SIZE_BITS;
    if ((y0 & SIZE_BITS) > largestB) largestB = y0 & SIZE_BITS;
    if ((y1 & SIZE_BITS) > largestB) largestB = y1 & SIZE_BITS;
    if ((y2 & SIZE_BITS) > largestB) largestB = y2 & SIZE_BITS;
    if ((y3 & SIZE_BITS) > largestB) largestB = y3 & SIZE_BITS;
    const e0 = Math.abs((table[x0] as number) - (table[y0] as number));
    const e1 = Math.abs((table[x1] as number) - (table[y1] as number));
    const e2 = Math.abs((table[x2] as number) - (table[y2] as number));
    const e3 = Math.abs((table[x3] as number) - (table[y3] as number));
    if (e0 > d0) d0 = e0;
    if (e1 > d1) d1 = e1;
    if (e2 > d2) d2 = e2;
    if (e3 > d3) d3 = e3;
  }
  for (let i = whole; i < a.length; i++) {
    const x = a[i] as number;
    const y = b[i] as number;
    if (x === y) same++;
    largest = Math.max(largest, x & SIZE_BITS);
    largestB = Math.max(largestB, y & SIZE_BITS);
    d0 = Math.max(d0, Math.abs((table[x] as number) - (table[y] as number)));
  }
  // Without the sign, 16-bit floats are ordered as their bits are, infinity and NaN last.
  const allFinite = Number.isFinite(table[largest]) && Number.isFinite(table[largestB]);
  return { changed: a.length - same, maxAbs: allFinite ? Math.max(d0, d1, d2, d3) : Number.NaN, largest: table[largest] as number };
}

/** Compares values; two NaN count as the same. */
function compareValues(a: Values, b: Values): ChunkChange {
  let changed = 0;
  let maxAbs = 0;
  let largest = 0;
  for (let i = 0; i < a.length; i++) {
    const x = a[i] as number;
    const y = b[i] as number;
    changed += Object.is(x, y) || x === y ? 0 : 1;
    maxAbs = Math.max(maxAbs, Math.abs(x - y));
    largest = Math.max(largest, Math.abs(x));
  }
  return { changed, maxAbs, largest };
}

/** fp32 by its bits, so that the sign of a zero and the payload of a NaN count. */
function compare32(a: Float32Array, b: Float32Array): ChunkChange {
  const bitsA = new Int32Array(a.buffer, a.byteOffset, a.length);
  const bitsB = new Int32Array(b.buffer, b.byteOffset, b.length);
  let changed = 0;
  let maxAbs = 0;
  let largest = 0;
  for (let i = 0; i < a.length; i++) {
    changed += bitsA[i] !== bitsB[i] ? 1 : 0;
    const x = a[i] as number;
    maxAbs = Math.max(maxAbs, Math.abs(x - (b[i] as number)));
    largest = Math.max(largest, Math.abs(x));
  }
  return { changed, maxAbs, largest };
}

/** Largest difference and value among those that are numbers, and how many are not. */
function finiteDifference(a: Values, b: Values): { maxAbs: number; largest: number; notFinite: number } {
  let maxAbs = 0;
  let largest = 0;
  let notFinite = 0;
  for (let i = 0; i < a.length; i++) {
    const x = a[i] as number;
    const difference = Math.abs(x - (b[i] as number));
    if (Number.isNaN(difference)) notFinite++;
    else maxAbs = Math.max(maxAbs, difference);
    if (!Number.isNaN(x)) largest = Math.max(largest, Math.abs(x));
  }
  return { maxAbs, largest, notFinite };
}

const viewAs = <T>(bytes: Uint8Array, width: number, make: (buffer: ArrayBufferLike, offset: number, length: number) => T): T => {
  const aligned = bytes.byteOffset % width === 0 ? bytes : new Uint8Array(bytes);
  return make(aligned.buffer, aligned.byteOffset, aligned.byteLength / width);
};

const VIEWS: Partial<Record<SafetensorsDtype, (bytes: Uint8Array) => Values>> = {
  U8: (bytes) => bytes,
  BOOL: (bytes) => bytes,
  I8: (bytes) => viewAs(bytes, 1, (...range) => new Int8Array(...range)),
  I16: (bytes) => viewAs(bytes, 2, (...range) => new Int16Array(...range)),
  U16: (bytes) => viewAs(bytes, 2, (...range) => new Uint16Array(...range)),
  I32: (bytes) => viewAs(bytes, 4, (...range) => new Int32Array(...range)),
  U32: (bytes) => viewAs(bytes, 4, (...range) => new Uint32Array(...range)),
  F64: (bytes) => viewAs(bytes, 8, (...range) => new Float64Array(...range)),
  I64: (bytes) =>
    Float64Array.from(
      viewAs(bytes, 8, (...range) => new BigInt64Array(...range)),
      Number,
    ),
  U64: (bytes) =>
    Float64Array.from(
      viewAs(bytes, 8, (...range) => new BigUint64Array(...range)),
      Number,
    ),
};

/** The values of a chunk, or null if the dtype's are not read here (fp8 and smaller, complex). */
function valuesOf(dtype: SafetensorsDtype, bytes: Uint8Array): Values | null {
  const view = VIEWS[dtype];
  if (view !== undefined) return view(bytes);
  return isFloatDtype(dtype) ? decodeToF32(dtype, bytes) : null;
}

/** Elements of `width` bytes that are not the same. */
function changedElements(a: Uint8Array, b: Uint8Array, width: number): number {
  let changed = 0;
  for (let at = 0; at < a.byteLength; at += width) {
    let same = true;
    for (let i = at; i < at + width; i++) same &&= a[i] === b[i];
    if (!same) changed++;
  }
  return changed;
}

const units16 = (bytes: Uint8Array): Uint16Array => viewAs(bytes, 2, (...range) => new Uint16Array(...range));

/** Adds up how one tensor differs, chunk by chunk. */
export class ChangeMeter {
  readonly #a: SafetensorsDtype;
  readonly #b: SafetensorsDtype;
  readonly #elements: number;
  #changed = 0;
  #maxAbs: number | null = 0;
  #largest = 0;
  #notFinite = 0;

  constructor(a: SafetensorsDtype, b: SafetensorsDtype, elements: number) {
    this.#a = a;
    this.#b = b;
    this.#elements = elements;
  }

  get hasChanged(): boolean {
    return this.#changed > 0;
  }

  /** Takes one chunk of both sides that is not the same in bytes. Both hold the same elements. */
  add(a: Uint8Array, b: Uint8Array): void {
    const { changed, maxAbs, largest } = this.#compare(a, b);
    this.#changed += changed;
    this.#largest = Math.max(this.#largest, largest);
    if (this.#maxAbs !== null) this.#maxAbs = Number.isNaN(maxAbs) ? null : Math.max(this.#maxAbs, maxAbs);
  }

  /** Takes a chunk that is the same on both sides: only its largest value matters. */
  addSame(a: Uint8Array): void {
    const values = valuesOf(this.#a, a);
    if (values !== null) this.#largest = Math.max(this.#largest, finiteDifference(values, values).largest);
  }

  result(): TensorChange {
    const maxRel = this.#maxAbs === null || this.#largest === 0 ? null : this.#maxAbs / this.#largest;
    return { changed: this.#changed, elements: this.#elements, maxAbs: this.#maxAbs, maxRel, notFinite: this.#notFinite };
  }

  #compare(a: Uint8Array, b: Uint8Array): ChunkChange {
    const found = this.#compareFast(a, b);
    if (!Number.isNaN(found.maxAbs)) return found;
    const valuesA = valuesOf(this.#a, a);
    const valuesB = valuesOf(this.#b, b);
    if (valuesA === null || valuesB === null) return found;
    const { notFinite, ...finite } = finiteDifference(valuesA, valuesB);
    this.#notFinite += notFinite;
    return { changed: found.changed, ...finite };
  }

  #compareFast(a: Uint8Array, b: Uint8Array): ChunkChange {
    if (this.#a === this.#b) {
      if (this.#a === "BF16" || this.#a === "F16") return compare16(units16(a), units16(b), TABLES[this.#a]());
      if (this.#a === "F32") return compare32(decodeToF32("F32", a), decodeToF32("F32", b));
    }
    const valuesA = valuesOf(this.#a, a);
    const valuesB = valuesOf(this.#b, b);
    // Bits of less than a byte are counted by the byte.
    const width = Math.max(1, dtypeBits(this.#a) / 8);
    if (valuesA === null || valuesB === null) {
      // Of two dtypes that cannot be compared by value, nothing is known to be the same.
      const changed = this.#a === this.#b ? changedElements(a, b, width) : (8 * a.byteLength) / dtypeBits(this.#a);
      return { changed, maxAbs: Number.NaN, largest: 0 };
    }
    const found = compareValues(valuesA, valuesB);
    return this.#a === this.#b ? { ...found, changed: changedElements(a, b, width) } : found;
  }
}
