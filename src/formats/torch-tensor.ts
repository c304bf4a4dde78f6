import { type ByteSource, HeirloomError } from "../core/index.ts";
import { dtypeBits, elementCount, type SafetensorsDtype } from "./dtypes.ts";
import type { InertValue } from "./pickle-values.ts";
import { printable } from "./printable.ts";

/** PyTorch allows 64 dimensions (`MAX_DIMS` of its tensor iterator). */
const MAX_DIMENSIONS = 64;
/** The storage of a strided tensor is read whole; those seen, transposed LoRA matrices, have at most 16 MB. */
const MAX_GATHERED_BYTES = 134_217_728;

/** A tensor's memory in the archive: `data/<key>`. */
export interface TorchStorage extends InertValue {
  readonly kind: "storage";
  readonly dtype: SafetensorsDtype;
  readonly source: ByteSource;
}

/** A tensor of a torch file. Its values are read when they are asked for. */
export interface TorchTensor extends InertValue {
  readonly kind: "tensor";
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  /** The values, row by row, little-endian, however the file lays them. */
  readonly source: ByteSource;
}

/** Where a tensor lies in its storage, as the pickle says. */
export interface TensorLayout {
  readonly dtype: SafetensorsDtype;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

/** True for a {@link TorchTensor}. */
export function isTorchTensor(value: unknown): value is TorchTensor {
  return typeof value === "object" && value !== null && (value as Partial<InertValue>).kind === "tensor";
}

function isContiguous({ shape, strides }: TensorLayout): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] !== 1 && strides[axis] !== expected) return false;
    expected *= shape[axis] as number;
  }
  return true;
}

/** A part of a source, as a source of its own. */
function rangeOf(source: ByteSource, start: number, size: number): ByteSource {
  return {
    name: source.name,
    size,
    read(from, to) {
      if (from < 0 || to < from || to > size) {
        const error = new HeirloomError("FILE_UNREADABLE", `bytes ${from} to ${to} were asked of ${size}`, {
          where: printable(source.name),
        });
        return Promise.reject(error);
      }
      return source.read(start + from, start + to);
    },
  };
}

/** Values `first` to `last` (exclusive) of a strided tensor, counted row by row. */
function gather(bytes: Uint8Array, width: number, { shape, strides }: TensorLayout, first: number, last: number): Uint8Array {
  const out = new Uint8Array((last - first) * width);
  const index = shape.map(() => 0);
  let from = 0;
  for (let axis = shape.length - 1, rest = first; axis >= 0; axis--) {
    index[axis] = rest % (shape[axis] as number);
    rest = Math.floor(rest / (shape[axis] as number));
    from += (index[axis] as number) * (strides[axis] as number);
  }
  for (let i = 0; i < last - first; i++) {
    for (let b = 0; b < width; b++) out[i * width + b] = bytes[from * width + b] as number;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += strides[axis] as number;
      index[axis] = (index[axis] as number) + 1;
      if ((index[axis] as number) < (shape[axis] as number)) break;
      from -= (strides[axis] as number) * (shape[axis] as number);
      index[axis] = 0;
    }
  }
  return out;
}

function gatheredSource(source: ByteSource, width: number, layout: TensorLayout, count: number): ByteSource {
  return {
    name: source.name,
    size: count * width,
    async read(from, to) {
      if (source.size > MAX_GATHERED_BYTES) {
        throw new HeirloomError("TORCH_FILE_UNSUPPORTED", `a strided tensor of ${source.size} bytes would have to be gathered in memory`, {
          where: printable(source.name),
          hint: "save the file again with tensor.contiguous()",
        });
      }
      const first = Math.floor(from / width);
      const values = gather(await source.read(0, source.size), width, layout, first, Math.ceil(to / width));
      return values.slice(from - first * width, to - first * width);
    },
  };
}

/** A tensor over a storage, or why there can be none. */
export function tensorOver(storage: TorchStorage, layout: TensorLayout): TorchTensor | string {
  const { dtype, offset, shape, strides } = layout;
  if (shape.length > MAX_DIMENSIONS) return `expected at most ${MAX_DIMENSIONS} dimensions, found ${shape.length}`;
  if (shape.length !== strides.length) return `expected a stride for each of ${shape.length} dimensions, found ${strides.length}`;
  const count = elementCount(shape);
  if (count === undefined) return `expected a shape of a size that can be, found [${shape.join(", ")}]`;
  const width = dtypeBits(dtype) / 8;
  const available = storage.source.size / width;
  const span = count === 0 ? 0 : shape.reduce((last, size, axis) => last + (size - 1) * (strides[axis] as number), 1);
  // A tensor with more values than its storage repeats them (expand); nothing saves such a thing on purpose.
  if (offset + span > available || count > available)
    return `expected [${shape.join(", ")}] at element ${offset} inside a storage of ${available}, found it beyond`;
  const source = rangeOf(storage.source, offset * width, span * width);
  return { kind: "tensor", dtype, shape, source: isContiguous(layout) ? source : gatheredSource(source, width, layout, count) };
}
