import { type ByteSource, HeirloomError } from "../../core/index.ts";
import { LFS_MARK, MAX_LFS_POINTER_BYTES, refuseLfsPointer } from "../lfs-pointer.ts";
import { printable } from "../printable.ts";
import { Cursor, NeedsMore } from "./cursor.ts";
import { readMetadata } from "./metadata.ts";
import { type GgufTensor, placeTensors, readTensorInfos, type TensorInfo } from "./tensor-infos.ts";
import type { GgufMetadata } from "./values.ts";

/*
 * Layout, little endian (ggml/docs/gguf.md): "GGUF" | u32 version | u64 number of
 * tensors | u64 number of metadata | metadata | descriptions of the tensors |
 * zeros to a multiple of the alignment | data.
 *
 * Limits, and why:
 */
/** Gemma 3's vocabulary of 262,208 with its merges takes 22 MB; everything else is small. */
const MAX_HEADER_BYTES = 134_217_728;
/** Experts lie together in one tensor each, so that the largest files known have 2,000 tensors. */
const MAX_TENSORS = 65_536;
/** Real files have 20 to 70. */
const MAX_METADATA = 65_536;
/** First request: the whole header of a model with a vocabulary of 32,000. Each further one is four times as large. */
const FIRST_READ_BYTES = 1_048_576;
const GROWTH = 4;
const DEFAULT_ALIGNMENT = 32;
/** Magic, version and the two counts. */
const FIXED_BYTES = 24;
const MAGIC = 0x46554747;

/** What a GGUF file says before its data begin. */
export interface GgufHeader {
  readonly version: number;
  readonly alignment: number;
  readonly metadata: GgufMetadata;
  /** By name, in the order of the file. */
  readonly tensors: ReadonlyMap<string, GgufTensor>;
  /** How much was read to know all this. */
  readonly bytesRead: number;
}

/** Whether these first bytes of a file are those of a GGUF file. */
export function isGguf(first: Uint8Array): boolean {
  return first.byteLength >= 4 && new DataView(first.buffer, first.byteOffset).getUint32(0, true) === MAGIC;
}

function truncated(source: ByteSource, expected: number): HeirloomError {
  return new HeirloomError("GGUF_TRUNCATED", `expected a header of at least ${expected} bytes, found ${source.size}`, {
    where: printable(source.name),
    hint: "the download or copy was cut short: fetch the file again",
    details: { expectedBytes: expected, foundBytes: source.size },
  });
}

function checkVersion(version: number, source: ByteSource): void {
  if (version === 2 || version === 3) return;
  // A version of 2 or 3 with its bytes the other way round.
  const isBigEndian = version === 0x02000000 || version === 0x03000000;
  const found = isBigEndian ? "a big-endian file" : `version ${version}`;
  throw new HeirloomError("GGUF_UNSUPPORTED", `expected a GGUF file of version 2 or 3, little endian, found ${found}`, {
    where: printable(source.name),
    hint: isBigEndian
      ? "convert it with gguf-py's gguf_convert_endian, or take the little-endian file"
      : "convert the original model again with a current llama.cpp",
  });
}

function alignmentOf(metadata: GgufMetadata, cursor: Cursor): number {
  const entry = metadata.get("general.alignment");
  if (entry === undefined) return DEFAULT_ALIGNMENT;
  const value = entry.type === "UINT32" ? entry.value : 0;
  if (value === 0 || (value & (value - 1)) !== 0)
    throw cursor.invalid(
      `general.alignment: expected a power of two as UINT32, found ${entry.type === "ARRAY" ? "an array" : entry.value}`,
    );
  return value;
}

interface Parsed {
  readonly version: number;
  readonly alignment: number;
  readonly metadata: GgufMetadata;
  readonly infos: readonly TensorInfo[];
  readonly dataStart: number;
}

function parse(bytes: Uint8Array, source: ByteSource): Parsed {
  const cursor = new Cursor(bytes, source.name);
  cursor.take(4);
  const version = cursor.u32();
  checkVersion(version, source);
  const tensorCount = cursor.count("a number of tensors", MAX_TENSORS);
  const metadataCount = cursor.count("a number of metadata", MAX_METADATA);
  const metadata = readMetadata(cursor, metadataCount);
  const alignment = alignmentOf(metadata, cursor);
  const infos = readTensorInfos(cursor, tensorCount);
  return { version, alignment, metadata, infos, dataStart: Math.ceil(cursor.at / alignment) * alignment };
}

/** Says what the file is, before its first bytes are taken for a header. */
function checkMagic(first: Uint8Array, source: ByteSource): void {
  if (first.byteLength >= LFS_MARK.length && source.size < MAX_LFS_POINTER_BYTES)
    refuseLfsPointer(String.fromCharCode(...first), source.name);
  if (isGguf(first)) {
    if (first.byteLength < FIXED_BYTES) throw truncated(source, FIXED_BYTES);
    return;
  }
  throw new HeirloomError("GGUF_INVALID", `expected the file to begin with "GGUF", found something else`, {
    where: printable(source.name),
    hint: "check that this is a GGUF file; older llama.cpp files (GGML, GGJT) must be converted again",
  });
}

/**
 * Reads the header of a GGUF file (versions 2 and 3, little endian): typed
 * metadata, and where each tensor lies. Nothing of the data is read.
 *
 * @throws GGUF_INVALID, GGUF_TRUNCATED; GGUF_UNSUPPORTED for version 1 and big-endian files; QUANTIZATION_UNSUPPORTED for a
 * type of tensor that is not known; LFS_POINTER
 * @example
 * const { metadata, tensors } = await readGgufHeader(await openFile("model.gguf"));
 */
export async function readGgufHeader(source: ByteSource): Promise<GgufHeader> {
  let bytes = await source.read(0, Math.min(source.size, FIRST_READ_BYTES));
  checkMagic(bytes, source);
  for (;;) {
    try {
      const { version, alignment, metadata, infos, dataStart } = parse(bytes, source);
      return { version, alignment, metadata, tensors: placeTensors(infos, dataStart, alignment, source), bytesRead: bytes.byteLength };
    } catch (thrown) {
      if (!(thrown instanceof NeedsMore)) throw thrown;
      bytes = await moreBytes(bytes, thrown.end, source);
    }
  }
}

/** The bytes at hand and so many more that the next attempt gets further. */
async function moreBytes(bytes: Uint8Array, needed: number, source: ByteSource): Promise<Uint8Array> {
  if (needed > source.size) throw truncated(source, needed);
  if (needed > MAX_HEADER_BYTES) {
    throw new HeirloomError("GGUF_INVALID", `expected a header of at most ${MAX_HEADER_BYTES} bytes, found one that goes on`, {
      where: printable(source.name),
      hint: "check that this is a GGUF file of a language model",
    });
  }
  const end = Math.min(source.size, MAX_HEADER_BYTES, Math.max(needed, bytes.byteLength * GROWTH));
  const grown = new Uint8Array(end);
  grown.set(bytes);
  grown.set(await source.read(bytes.byteLength, end), bytes.byteLength);
  return grown;
}
