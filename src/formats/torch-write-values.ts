import { InternalError } from "../core/index.ts";
import { dtypeBits, elementCount, type SafetensorsDtype } from "./dtypes.ts";
import type { PythonFloat } from "./python-float.ts";

/** The dtypes that torch saves. It has no storage for floats of six bits, and its 4-bit type means two values per element. */
export type TorchDtype = Exclude<SafetensorsDtype, "F4" | "F6_E2M3" | "F6_E3M2">;

/** Little-endian bytes: at hand, or made when their turn comes (called once, only one chunk is held). */
export type TorchData = Uint8Array | (() => Iterable<Uint8Array> | AsyncIterable<Uint8Array>);

/** Memory that one or several tensors view; written once. */
export interface StorageToSave {
  readonly dtype: TorchDtype;
  readonly elements: number;
  readonly data: TorchData;
}

/** A tensor to save: a view of a storage. */
export interface TensorToSave {
  readonly kind: "tensor-to-save";
  readonly storage: StorageToSave;
  readonly shape: readonly number[];
  /** In elements, one per axis. */
  readonly strides: readonly number[];
  /** In elements. */
  readonly offset: number;
  readonly requiresGrad: boolean;
}

/** A Python tuple. */
export interface TupleToSave {
  readonly kind: "tuple";
  readonly items: readonly ValueToSave[];
}

/** A `collections.OrderedDict`. */
export interface OrderedDictToSave {
  readonly kind: "ordered-dict";
  readonly items: ReadonlyMap<string | number, ValueToSave>;
}

/** Element types of numpy by its own codes, little-endian. */
export type NumpyCode = "b1" | "i1" | "i2" | "i4" | "i8" | "u1" | "u2" | "u4" | "u8" | "f2" | "f4" | "f8" | "c8";

/** A numpy array (row by row) or, without a shape, a numpy scalar. */
export interface NumpyToSave {
  readonly kind: "numpy-to-save";
  readonly code: NumpyCode;
  readonly shape: readonly number[] | null;
  readonly bytes: Uint8Array;
}

/**
 * What `encodeTorchFile` writes: a whole number (or a bigint) is an int, a float is
 * always a {@link PythonFloat}, so that 1 and 1.0 cannot be mixed up; a Map is
 * a dict, an array a list, a Uint8Array bytes. As with Python's pickler, an object
 * that is there twice is written once and is one object again when loaded.
 */
export type ValueToSave =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | PythonFloat
  | TupleToSave
  | OrderedDictToSave
  | TensorToSave
  | NumpyToSave
  | readonly ValueToSave[]
  | ReadonlyMap<string | number, ValueToSave>;

/** A tuple to save. */
export function pyTuple(...items: readonly ValueToSave[]): TupleToSave {
  return { kind: "tuple", items };
}

/** An OrderedDict to save. */
export function orderedDict(items: ReadonlyMap<string | number, ValueToSave>): OrderedDictToSave {
  return { kind: "ordered-dict", items };
}

/** A numpy array to save; `bytes` row by row, little-endian. @throws InternalError if shape and bytes disagree */
export function numpyArray(code: NumpyCode, shape: readonly number[], bytes: Uint8Array): NumpyToSave {
  const expected = (elementCount(shape) ?? Number.NaN) * Number(code.slice(1));
  if (bytes.byteLength !== expected) throw new InternalError(`expected ${expected} bytes for an array, got ${bytes.byteLength}`);
  return { kind: "numpy-to-save", code, shape, bytes };
}

/** A numpy scalar to save. @throws InternalError if `bytes` is not one element */
export function numpyScalar(code: NumpyCode, bytes: Uint8Array): NumpyToSave {
  return { ...numpyArray(code, [], bytes), shape: null };
}

/** Memory to share between tensors. @throws InternalError if it is no whole number of elements */
export function torchStorage(dtype: TorchDtype, bytes: number, data: TorchData): StorageToSave {
  const elements = bytes / (dtypeBits(dtype) / 8);
  if (!Number.isSafeInteger(elements) || elements < 0 || (data instanceof Uint8Array && data.byteLength !== bytes))
    throw new InternalError(`a storage of ${dtype} cannot have ${bytes} bytes`);
  return { dtype, elements, data };
}

/** How a tensor views its storage. */
export interface ViewOptions {
  /** In elements. @defaultValue row by row */
  readonly strides?: readonly number[];
  /** In elements. @defaultValue 0 */
  readonly offset?: number;
  /** @defaultValue false */
  readonly requiresGrad?: boolean;
}

/** Strides of a tensor that lies row by row, as torch counts them: an axis of size 0 counts as 1. */
function rowStrides(shape: readonly number[]): number[] {
  return shape.map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * Math.max(size, 1), 1));
}

/** A tensor over part of a storage. @throws InternalError if it reaches beyond */
export function torchView(storage: StorageToSave, shape: readonly number[], options: ViewOptions = {}): TensorToSave {
  const { strides = rowStrides(shape), offset = 0, requiresGrad = false } = options;
  const count = elementCount(shape);
  const span = count === 0 ? 0 : shape.reduce((last, size, axis) => last + (size - 1) * (strides[axis] ?? Number.NaN), 1);
  if (count === undefined || strides.length !== shape.length || !(offset >= 0) || !(offset + span <= storage.elements))
    throw new InternalError(`a tensor [${shape.join(", ")}] at element ${offset} is not inside a storage of ${storage.elements}`);
  return { kind: "tensor-to-save", storage, shape, strides, offset, requiresGrad };
}

/** A tensor with a storage of its own, row by row. @throws InternalError if shape and data disagree */
export function torchTensor(dtype: TorchDtype, shape: readonly number[], data: TorchData): TensorToSave {
  const bytes = ((elementCount(shape) ?? Number.NaN) * dtypeBits(dtype)) / 8;
  return torchView(torchStorage(dtype, bytes, data), shape);
}
