import { decodeToF32, encodeFromF32, type FloatDtype, isFloatDtype } from "../../codecs/index.ts";
import type { StoredTensor, TensorFile } from "../../formats/index.ts";
import type { TensorDifference, TensorScan, ValueReader } from "./types.ts";

/** Elements of one read: 4 MiB of fp32 or less, so that any file needs little memory. */
const CHUNK_ELEMENTS = 1 << 20;
const WIDTHS: Readonly<Record<FloatDtype, number>> = { F64: 8, F32: 4, F16: 2, BF16: 2 };

const read = (tensor: StoredTensor, width: number, from: number, to: number): Promise<Uint8Array> =>
  tensor.source.read(tensor.start + from * width, tensor.start + to * width);

async function scanTensor(tensor: StoredTensor, dtype: FloatDtype): Promise<TensorScan> {
  const count = (tensor.end - tensor.start) / WIDTHS[dtype];
  let isZero = true;
  let notFinite = 0;
  for (let from = 0; from < count; from += CHUNK_ELEMENTS) {
    const values = decodeToF32(dtype, await read(tensor, WIDTHS[dtype], from, Math.min(count, from + CHUNK_ELEMENTS)));
    for (const value of values) {
      if (value !== 0) isZero = false;
      if (!Number.isFinite(value)) notFinite++;
    }
  }
  return { isZero, notFinite };
}

/** Whole numbers that are equal exactly where the elements are bit for bit. */
function wordsOf(bytes: Uint8Array, width: number): Uint16Array | Uint32Array | BigUint64Array {
  const own = bytes.byteOffset % width === 0 ? bytes : new Uint8Array(bytes);
  const length = own.byteLength / width;
  if (width === 2) return new Uint16Array(own.buffer, own.byteOffset, length);
  if (width === 4) return new Uint32Array(own.buffer, own.byteOffset, length);
  return new BigUint64Array(own.buffer, own.byteOffset, length);
}

/** Counts changed elements, and those in rows that changed at all. */
class ChangeCount {
  changed = 0;
  elementsOfChangedRows = 0;
  readonly #rowLength: number;
  #inRow = 0;
  #changedInRow = 0;

  constructor(rowLength: number) {
    this.#rowLength = rowLength;
  }

  add(a: ArrayLike<number | bigint>, b: ArrayLike<number | bigint>): void {
    for (let i = 0; i < a.length; i++) {
      if (a[i] !== b[i]) this.#changedInRow++;
      if (++this.#inRow === this.#rowLength) this.#endRow();
    }
  }

  #endRow(): void {
    this.changed += this.#changedInRow;
    if (this.#changedInRow > 0) this.elementsOfChangedRows += this.#rowLength;
    this.#changedInRow = 0;
    this.#inRow = 0;
  }
}

async function compareTensors(a: StoredTensor, b: StoredTensor, from: FloatDtype, to: FloatDtype): Promise<TensorDifference> {
  const elements = (a.end - a.start) / WIDTHS[from];
  const narrow = WIDTHS[from] <= WIDTHS[to] ? from : to;
  const count = new ChangeCount(a.shape.at(-1) ?? 1);
  // Of two half-precision dtypes neither can hold the other: their values are compared as fp32.
  const asFloats = from !== to && WIDTHS[from] === WIDTHS[to];
  const part = (bytes: Uint8Array, dtype: FloatDtype) => {
    if (asFloats) return decodeToF32(dtype, bytes);
    return wordsOf(dtype === narrow ? bytes : encodeFromF32(narrow, decodeToF32(dtype, bytes)), WIDTHS[narrow]);
  };
  for (let start = 0; start < elements; start += CHUNK_ELEMENTS) {
    const end = Math.min(elements, start + CHUNK_ELEMENTS);
    const [left, right] = await Promise.all([read(a, WIDTHS[from], start, end), read(b, WIDTHS[to], start, end)]);
    count.add(part(left, from), part(right, to));
  }
  return { elements, changed: count.changed, elementsOfChangedRows: count.elementsOfChangedRows };
}

/** True if two shapes are the same. */
export function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((size, i) => size === b[i]);
}

/** A {@link ValueReader} that reads each tensor at most once for each question. */
export function valueReader(): ValueReader {
  const scans = new WeakMap<StoredTensor, Promise<TensorScan>>();
  const differences = new WeakMap<StoredTensor, WeakMap<StoredTensor, Promise<TensorDifference>>>();
  return {
    async scan(file: TensorFile, name: string) {
      const tensor = file.tensors.get(name);
      if (tensor === undefined || !isFloatDtype(tensor.dtype)) return null;
      const known = scans.get(tensor) ?? scanTensor(tensor, tensor.dtype);
      scans.set(tensor, known);
      return known;
    },
    async compare(a, b) {
      if (!sameShape(a.shape, b.shape) || !isFloatDtype(a.dtype) || !isFloatDtype(b.dtype)) return null;
      const ofA = differences.get(a) ?? new WeakMap<StoredTensor, Promise<TensorDifference>>();
      differences.set(a, ofA);
      const known = ofA.get(b) ?? compareTensors(a, b, a.dtype, b.dtype);
      ofA.set(b, known);
      return known;
    },
  };
}
