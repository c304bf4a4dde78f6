import { InternalError, nameKey } from "../core/index.ts";
import { dtypeBits } from "./dtypes.ts";
import { type Crc32, crc32 } from "./torch-write-crc.ts";
import { torchPickle } from "./torch-write-pickle.ts";
import type { ValueToSave } from "./torch-write-values.ts";
import { type ZipRecord, ZipStream, zipBytes } from "./torch-write-zip.ts";

/** What current torch says of its files (torch 2.13, torch/serialization.py and inline_container.h). */
const FORMAT_VERSION = "1";
const STORAGE_ALIGNMENT = "64";
const FILE_VERSION = "3\n";
/** Small pieces are put together up to this size, so that a file is not written in hundreds of thousands of calls. */
const SMALL_BYTES = 65_536;

/** Choices of {@link encodeTorchFile}. */
export interface TorchFileOptions {
  /**
   * The folder inside the archive; torch uses the file's name without its ending.
   * @defaultValue "archive"
   */
  readonly archiveName?: string;
  /**
   * A faster checksum, such as Node's `zlib.crc32`, or one that another thread takes.
   * @defaultValue a table of our own, about 1 GB/s
   */
  readonly crc32?: Crc32;
}

const MASK_64 = (1n << 64n) - 1n;

/** `c10::hash_combine` over 64 bits. */
function hashCombine(seed: bigint, value: number): bigint {
  return seed ^ ((BigInt(value) + 0x9e3779b9n + ((seed << 6n) & MASK_64) + (seed >> 2n)) & MASK_64);
}

/**
 * torch's fingerprint of a file: a hash of the names and one of the checksums, 20 digits
 * each. The second half is torch's own; the first half there depends on the
 * standard library it was built with, here it is a hash of the same names.
 */
function serializationId(names: readonly string[], checksums: readonly number[]): string {
  const halves = [names.map(nameKey), checksums].map((values) => values.reduce(hashCombine, 0n));
  return halves.map((half) => half.toString().padStart(20, "0")).join("");
}

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const small = (name: string, data: Uint8Array): ZipRecord => ({ name, bytes: data.byteLength, data });
/** Its name, and its length: two halves of 20 digits. */
const ID_RECORD = { name: ".data/serialization_id", bytes: 40 };

/** Everything of an archive but its serialization id. */
function recordsOf(value: ValueToSave): ZipRecord[] {
  const { bytes, storages } = torchPickle(value);
  return [
    small("data.pkl", bytes),
    small(".format_version", utf8(FORMAT_VERSION)),
    small(".storage_alignment", utf8(STORAGE_ALIGNMENT)),
    small("byteorder", utf8("little")),
    ...storages.map(({ dtype, elements, data }, key) => ({ name: `data/${key}`, bytes: (elements * dtypeBits(dtype)) / 8, data })),
    small("version", utf8(FILE_VERSION)),
  ];
}

async function* writeArchive(value: ValueToSave, root: string, crc: Crc32): AsyncGenerator<Uint8Array, void, undefined> {
  const records = recordsOf(value);
  const zip = new ZipStream(crc);
  for (const record of records) yield* zip.add({ ...record, name: `${root}/${record.name}` });
  const id = serializationId(
    records.map(({ name }) => name),
    zip.checksums,
  );
  yield* zip.add(small(`${root}/${ID_RECORD.name}`, utf8(id)));
  yield* zip.end();
}

/** The same bytes in fewer chunks; large ones pass through uncopied. */
async function* joinSmall(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  let waiting = new Uint8Array(SMALL_BYTES);
  let size = 0;
  for await (const chunk of chunks) {
    if (size > 0 && size + chunk.byteLength > SMALL_BYTES) {
      yield waiting.subarray(0, size);
      // Not used again: who took the chunk may still hold it.
      waiting = new Uint8Array(SMALL_BYTES);
      size = 0;
    }
    if (chunk.byteLength > SMALL_BYTES) yield chunk;
    else {
      waiting.set(chunk, size);
      size += chunk.byteLength;
    }
  }
  if (size > 0) yield waiting.subarray(0, size);
}

/**
 * Encodes what `torch.save` would (zip format, torch 2.13) as a stream of chunks:
 * byte for byte the same file but for its serialization id, and always the
 * same for the same value. Only one chunk of data is held at a time; a chunk must have been
 * used before the next one is asked for.
 *
 * @throws InternalError for data of another size than its storage, a fraction that is no
 *   PythonFloat, values nested more than 64 deep; TORCH_FILE_INVALID for a text that is not valid Unicode
 * @example
 * const state = new Map([["step", torchTensor("F32", [], bytes)]]);
 * await writeFileAtomic("state.pt", encodeTorchFile(state, { archiveName: "state" }));
 */
export function encodeTorchFile(value: ValueToSave, options: TorchFileOptions = {}): AsyncIterable<Uint8Array> {
  const root = options.archiveName ?? "archive";
  if (!/^[ -.0-~]+$/.test(root)) throw new InternalError("an archive's name is ASCII without a slash");
  return joinSmall(writeArchive(value, root, options.crc32 ?? crc32));
}

/** Size of the file that {@link encodeTorchFile} makes, to the byte; no tensor's data are asked for. */
export function torchFileBytes(value: ValueToSave, archiveName = "archive"): number {
  return zipBytes([...recordsOf(value), ID_RECORD].map(({ name, bytes }) => ({ name: `${archiveName}/${name}`, bytes })));
}
