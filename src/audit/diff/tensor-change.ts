import { decodeToF32, isFloatDtype } from "../../codecs/index.ts";
import { dtypeBits, type SafetensorsDtype } from "../../formats/index.ts";
import { compareFloats, type FloatChange } from "./float-kernel.ts";

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

type Values = Float32Array | Float64Array | Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array | Uint32Array;

/** Compares values; two NaN count as the same. */
function compareValues(a: Values, b: Values): FloatChange {
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
    const found = compareFloats(this.#a, a, a);
    const values = found === null || Number.isNaN(found.maxAbs) ? valuesOf(this.#a, a) : null;
    const largest = values === null ? found?.largest : finiteDifference(values, values).largest;
    this.#largest = Math.max(this.#largest, largest ?? 0);
  }

  result(): TensorChange {
    const maxRel = this.#maxAbs === null || this.#largest === 0 ? null : this.#maxAbs / this.#largest;
    return { changed: this.#changed, elements: this.#elements, maxAbs: this.#maxAbs, maxRel, notFinite: this.#notFinite };
  }

  #compare(a: Uint8Array, b: Uint8Array): FloatChange {
    const found = (this.#a === this.#b ? compareFloats(this.#a, a, b) : null) ?? this.#compareAny(a, b);
    if (!Number.isNaN(found.maxAbs)) return found;
    const valuesA = valuesOf(this.#a, a);
    const valuesB = valuesOf(this.#b, b);
    if (valuesA === null || valuesB === null) return found;
    const { notFinite, ...finite } = finiteDifference(valuesA, valuesB);
    this.#notFinite += notFinite;
    return { changed: found.changed, ...finite };
  }

  /** Compares any dtypes, one element at a time. */
  #compareAny(a: Uint8Array, b: Uint8Array): FloatChange {
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
