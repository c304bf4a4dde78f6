import { InternalError } from "../../core/index.ts";
import { printable } from "../printable.ts";
import { GGML_TYPES, type GgmlType, ggmlBytes } from "./ggml-types.ts";
import { type GgufArray, type GgufMetadata, type GgufValue, idOfValueType, SCALARS, type ScalarType } from "./values.ts";

/** A tensor to be laid out; `shape` row-major, the slowest dimension first. */
export interface TensorToPlan {
  readonly name: string;
  readonly type: GgmlType;
  readonly shape: readonly number[];
}

/** A tensor with its data, as blocks of its type. */
export interface GgufToWrite extends TensorToPlan {
  /** Called once, when its turn comes. */
  chunks(): Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
}

/** Layout of a GGUF file that is about to be written. */
export interface GgufPlan<T extends TensorToPlan = TensorToPlan> {
  /** All bytes before the data, padding included. */
  readonly header: Uint8Array;
  readonly alignment: number;
  /** In the order of their data, with where each begins in the file. */
  readonly tensors: readonly (T & { readonly start: number; readonly bytes: number })[];
  /** Size of the whole file in bytes, the padding after the last tensor included. */
  readonly bytes: number;
}

const FIRST_BYTES = 65_536;
const DEFAULT_ALIGNMENT = 32;
const utf8 = new TextEncoder();

/** Bytes that grow as they are written. */
class Sink {
  #bytes = new Uint8Array(FIRST_BYTES);
  #view = new DataView(this.#bytes.buffer);
  #at = 0;

  get at(): number {
    return this.#at;
  }

  /** Makes room and gives the view and where to write. */
  room(count: number): { readonly view: DataView; readonly at: number } {
    const at = this.#at;
    this.#at += count;
    if (this.#at > this.#bytes.byteLength) {
      const grown = new Uint8Array(Math.max(this.#at, 2 * this.#bytes.byteLength));
      grown.set(this.#bytes.subarray(0, at));
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    return { view: this.#view, at };
  }

  u32(value: number): void {
    const { view, at } = this.room(4);
    view.setUint32(at, value, true);
  }

  u64(value: number): void {
    const { view, at } = this.room(8);
    view.setBigUint64(at, BigInt(value), true);
  }

  text(value: string): void {
    if (/\p{Cs}/u.test(value)) throw new InternalError(`${printable(value, 80)} is not valid Unicode`);
    const bytes = utf8.encode(value);
    this.u64(bytes.byteLength);
    const { at } = this.room(bytes.byteLength);
    this.#bytes.set(bytes, at);
  }

  padTo(alignment: number): void {
    this.room(padding(this.#at, alignment));
  }

  take(): Uint8Array {
    return this.#bytes.slice(0, this.#at);
  }
}

const padding = (bytes: number, alignment: number): number => (alignment - (bytes % alignment)) % alignment;

/** How each scalar type is put into bytes. */
const WRITERS: Readonly<Record<ScalarType, (view: DataView, at: number, value: number | bigint | boolean) => void>> = {
  UINT8: (view, at, value) => view.setUint8(at, Number(value)),
  BOOL: (view, at, value) => view.setUint8(at, Number(value)),
  INT8: (view, at, value) => view.setInt8(at, Number(value)),
  UINT16: (view, at, value) => view.setUint16(at, Number(value), true),
  INT16: (view, at, value) => view.setInt16(at, Number(value), true),
  UINT32: (view, at, value) => view.setUint32(at, Number(value), true),
  INT32: (view, at, value) => view.setInt32(at, Number(value), true),
  FLOAT32: (view, at, value) => view.setFloat32(at, Number(value), true),
  FLOAT64: (view, at, value) => view.setFloat64(at, Number(value), true),
  UINT64: (view, at, value) => view.setBigUint64(at, BigInt(value), true),
  INT64: (view, at, value) => view.setBigInt64(at, BigInt(value), true),
};

function writeScalar(sink: Sink, type: ScalarType, value: number | bigint | boolean): void {
  const { view, at } = sink.room(SCALARS[type].bytes);
  WRITERS[type](view, at, value);
}

function writeArray(sink: Sink, { elementType, values }: GgufArray): void {
  sink.u32(idOfValueType(elementType));
  sink.u64(values.length);
  for (const value of values) {
    if (typeof value === "object") writeArray(sink, value);
    else if (typeof value === "string") sink.text(value);
    else if (elementType !== "STRING" && elementType !== "ARRAY") writeScalar(sink, elementType, value);
    else throw new InternalError(`an array of ${elementType} with ${typeof value} in it`);
  }
}

function writeValue(sink: Sink, entry: GgufValue): void {
  sink.u32(idOfValueType(entry.type));
  if (entry.type === "ARRAY") writeArray(sink, entry);
  else if (entry.type === "STRING") sink.text(entry.value);
  else writeScalar(sink, entry.type, entry.value);
}

function alignmentIn(metadata: GgufMetadata): number {
  const entry = metadata.get("general.alignment");
  return entry?.type === "UINT32" ? entry.value : DEFAULT_ALIGNMENT;
}

/**
 * Lays a GGUF file of version 3 out without its data: exact header and offsets,
 * each tensor at the next multiple of `general.alignment` (32 if it is not
 * given), in the order given, as llama.cpp asks.
 *
 * @throws InternalError for a shape that is not a whole number of blocks
 */
export function planGguf<T extends TensorToPlan>(metadata: GgufMetadata, tensors: readonly T[]): GgufPlan<T> {
  const alignment = alignmentIn(metadata);
  const sink = new Sink();
  sink.u32(0x46554747);
  sink.u32(3);
  sink.u64(tensors.length);
  sink.u64(metadata.size);
  for (const [key, value] of metadata) {
    sink.text(key);
    writeValue(sink, value);
  }
  let offset = 0;
  const placed = tensors.map((tensor) => {
    const bytes = ggmlBytes(tensor.type, tensor.shape);
    if (bytes === undefined)
      throw new InternalError(`${printable(tensor.name)}: ${tensor.type} [${tensor.shape.join(", ")}] is not a whole number of blocks`);
    sink.text(tensor.name);
    sink.u32(tensor.shape.length);
    for (const size of tensor.shape.toReversed()) sink.u64(size);
    sink.u32(GGML_TYPES[tensor.type].id);
    sink.u64(offset);
    const start = offset;
    offset += bytes + padding(bytes, alignment);
    return { tensor, start, bytes };
  });
  sink.padTo(alignment);
  const header = sink.take();
  return {
    header,
    alignment,
    tensors: placed.map(({ tensor, start, bytes }) => ({ ...tensor, start: header.byteLength + start, bytes })),
    bytes: header.byteLength + offset,
  };
}

/**
 * Encodes a GGUF file as a stream of chunks; only one chunk is held at a time.
 *
 * @throws InternalError for data of another size than the shape says
 * @example
 * await writeFileAtomic(path, encodeGguf(metadata, [{ name: "w", type: "F32", shape: [2], chunks: () => [bytes] }]));
 */
export async function* encodeGguf(metadata: GgufMetadata, tensors: readonly GgufToWrite[]): AsyncGenerator<Uint8Array, void, undefined> {
  const plan = planGguf(metadata, tensors);
  yield plan.header;
  for (const { name, bytes, chunks } of plan.tensors) {
    let written = 0;
    for await (const chunk of chunks()) {
      written += chunk.byteLength;
      yield chunk;
    }
    if (written !== bytes) throw new InternalError(`${printable(name)}: expected ${bytes} bytes to write, got ${written}`);
    yield new Uint8Array(padding(bytes, plan.alignment));
  }
}
