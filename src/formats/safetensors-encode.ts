import { HeirloomError, InternalError } from "../core/index.ts";
import { dtypeRank, type SafetensorsDtype, tensorBytes } from "./dtypes.ts";
import { printable } from "./printable.ts";

/** What a header says of a tensor that is to be written. */
export interface TensorPlan {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
}

/** A tensor to write; `chunks` yields its little-endian bytes, and is called once, when its turn comes. */
export interface TensorToWrite extends TensorPlan {
  readonly chunks: () => Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
}

/** The order of Rust strings (by code point), which UTF-16 order is not for characters beyond U+FFFF. */
function compareNames(a: string, b: string): number {
  for (let i = 0; i < a.length && i < b.length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x === y) continue;
    const xSurrogate = x >= 0xd800 && x < 0xe000;
    const ySurrogate = y >= 0xd800 && y < 0xe000;
    if (xSurrogate === ySurrogate) return x - y;
    return xSurrogate ? 1 : -1;
  }
  return a.length - b.length;
}

/** Order of the data in a file: descending dtype, then name, as the safetensors library sorts. */
function inFileOrder<T extends TensorPlan>(tensors: readonly T[]): T[] {
  return [...tensors].sort((a, b) => dtypeRank(b.dtype) - dtypeRank(a.dtype) || compareNames(a.name, b.name));
}

function checkNames(tensors: readonly TensorPlan[]): void {
  const names = new Set<string>();
  for (const { name } of tensors) {
    if (name === "__metadata__" || names.has(name))
      throw new InternalError(`the tensor name ${printable(name)} is ${names.has(name) ? "there twice" : "reserved"}`);
    if (/\p{Cs}/u.test(name)) throw new HeirloomError("SAFETENSORS_INVALID", `the tensor name ${printable(name)} is not valid Unicode`);
    names.add(name);
  }
}

/** Layout of a safetensors file that is about to be written. */
export interface SafetensorsPlan<T extends TensorPlan = TensorPlan> {
  /** Length and JSON, as they stand at the start of the file. */
  readonly header: Uint8Array;
  /** The tensors in the order of their data. */
  readonly order: readonly T[];
  /** Size of the whole file in bytes. */
  readonly bytes: number;
}

/**
 * Lays a safetensors file out without its data: exact header, order and size.
 *
 * @param metadata written in the order given; an empty object writes no `__metadata__`
 */
export function planSafetensors<T extends TensorPlan>(
  tensors: readonly T[],
  metadata: Readonly<Record<string, string>> = {},
): SafetensorsPlan<T> {
  checkNames(tensors);
  const order = inFileOrder(tensors);
  const parts: string[] = [];
  if (Object.keys(metadata).length > 0) parts.push(`"__metadata__":${JSON.stringify(metadata)}`);
  let offset = 0;
  for (const { name, dtype, shape } of order) {
    const size = tensorBytes(dtype, shape);
    if (size === undefined) throw new InternalError(`${printable(name)}: ${dtype} [${shape.join(", ")}] has no size in whole bytes`);
    parts.push(`${JSON.stringify(name)}:{"dtype":"${dtype}","shape":[${shape.join(",")}],"data_offsets":[${offset},${offset + size}]}`);
    offset += size;
  }
  const json = new TextEncoder().encode(`{${parts.join(",")}}`);
  const length = Math.ceil(json.byteLength / 8) * 8;
  const header = new Uint8Array(8 + length).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(length), true);
  header.set(json, 8);
  return { header, order, bytes: header.byteLength + offset };
}

async function* writePlan(plan: SafetensorsPlan<TensorToWrite>): AsyncGenerator<Uint8Array, void, undefined> {
  yield plan.header;
  for (const { name, dtype, shape, chunks } of plan.order) {
    const expected = tensorBytes(dtype, shape);
    let written = 0;
    for await (const chunk of chunks()) {
      written += chunk.byteLength;
      yield chunk;
    }
    if (written !== expected) throw new InternalError(`${printable(name)}: expected ${expected} bytes to write, got ${written}`);
  }
}

/**
 * Encodes a safetensors file as a stream of chunks, byte for byte as the Python
 * library (0.8) writes the same tensors. Only one chunk is held at a time.
 *
 * @throws InternalError for a repeated name or data of another size than its shape says
 * @example
 * await writeFileAtomic(path, encodeSafetensors([{ name: "w", dtype: "F32", shape: [2], chunks: () => [bytes] }], { format: "pt" }));
 */
export function encodeSafetensors(
  tensors: readonly TensorToWrite[],
  metadata: Readonly<Record<string, string>> = {},
): AsyncIterable<Uint8Array> {
  return writePlan(planSafetensors(tensors, metadata));
}
