import { type ByteSource, HeirloomError, isHeirloomError, ProblemList } from "../core/index.ts";
import { isSafetensorsDtype, SAFETENSORS_DTYPES, type SafetensorsDtype, tensorBytes } from "./dtypes.ts";
import { parseJson } from "./json.ts";
import { LFS_MARK, MAX_LFS_POINTER_BYTES, refuseLfsPointer } from "./lfs-pointer.ts";
import { type PlainEntry, readPlainHeader } from "./plain-header.ts";
import { describeValue, printable } from "./printable.ts";

/*
 * Layout: u64 little-endian N | N bytes of JSON, padded with spaces to a
 * multiple of 8 | tensor data, without holes, to the end of the file.
 *
 * Limits, and why:
 */
/** MAX_TENSORS entries of 160 bytes. (The safetensors library allows 100 MB, which no real file comes near, and which take 400 MB to read.) */
const MAX_HEADER_BYTES = 40_000_000;
/** Largest real model known: 384 experts x 60 layers x 3 matrices x 2 tensors = 138,240, over all its shards. */
const MAX_TENSORS = 250_000;
/** An entry of a four-dimensional tensor has 11 JSON values; 12 for each of MAX_TENSORS. */
const MAX_JSON_VALUES = 12 * MAX_TENSORS;
/** PyTorch allows 64 dimensions (`MAX_DIMS` of its tensor iterator). */
const MAX_DIMENSIONS = 64;
/** First request: the header of a shard of a large model (100 tensors, 12 kB) comes with the length in one read. (Over HTTP a source fetches more at once.) */
const FIRST_READ_BYTES = 16_384;
/** How many faults of one header a message lists. */
const MAX_PROBLEMS = 20;
const LENGTH_BYTES = 8;
const NOT_SAFETENSORS = "check that this is a safetensors file";

/** One tensor of a file; `start` and `end` are byte offsets from the start of the file. */
export interface TensorEntry {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  readonly start: number;
  readonly end: number;
}

/** A tensor together with the file that it lies in. */
export interface StoredTensor extends TensorEntry {
  readonly source: ByteSource;
}

/** What a safetensors file says before its data begin. */
export interface SafetensorsHeader {
  /** The `__metadata__` entry; empty if there is none. */
  readonly metadata: Readonly<Record<string, string>>;
  /** By name, in the order of the data. */
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  /** How much was read to know all this. */
  readonly bytesRead: number;
}

function invalid(source: ByteSource, message: string, hint?: string): HeirloomError {
  return new HeirloomError("SAFETENSORS_INVALID", message, { where: printable(source.name), ...(hint === undefined ? {} : { hint }) });
}

function truncated(source: ByteSource, expected: number): HeirloomError {
  return new HeirloomError("SAFETENSORS_TRUNCATED", `expected ${expected} bytes, found ${source.size}`, {
    where: printable(source.name),
    hint: "the download or copy was cut short: fetch the file again",
    details: { expectedBytes: expected, foundBytes: source.size },
  });
}

/** What a file whose first bytes make no header most likely is. */
function otherFormat(first: Uint8Array): string | undefined {
  const text = String.fromCharCode(...first.subarray(0, 16));
  if (text.startsWith("PK\u0003\u0004")) return "a zip archive (a PyTorch .bin or .pt file?)";
  if (text.startsWith("GGUF")) return "a GGUF file";
  if (text.startsWith("\u0080\u0002")) return "a Python pickle";
  if (/^\s*(<!DOCTYPE|<html)/i.test(text)) return "an HTML page (a failed download?)";
  if (/^\s*\{\s*"/.test(text)) return "JSON text";
  if (first.byteLength >= 16 && first.every((byte) => byte === 0)) return "nothing but zeros (a download that was never filled?)";
  return undefined;
}

/** Reads the length and, in the same or one more request, the JSON bytes. */
async function readHeaderBytes(source: ByteSource): Promise<{ json: Uint8Array; bytesRead: number }> {
  const first = await source.read(0, Math.min(source.size, FIRST_READ_BYTES));
  if (first.byteLength >= LFS_MARK.length && source.size < MAX_LFS_POINTER_BYTES) {
    refuseLfsPointer(String.fromCharCode(...first), source.name);
  }
  if (first.byteLength < LENGTH_BYTES) throw truncated(source, LENGTH_BYTES + 2);
  const length = Number(new DataView(first.buffer, first.byteOffset).getBigUint64(0, true));
  // A header of 640 bytes begins like a pickle: only what cannot be a header is asked what it is.
  const isHeader = length <= MAX_HEADER_BYTES && (first.byteLength === LENGTH_BYTES || first[LENGTH_BYTES] === 0x7b);
  const other = isHeader ? undefined : otherFormat(first);
  if (other !== undefined) throw invalid(source, `expected the header of a safetensors file, found ${other}`, NOT_SAFETENSORS);
  if (length > MAX_HEADER_BYTES) {
    throw invalid(source, `expected a header of at most ${MAX_HEADER_BYTES} bytes, found a length of ${length}`, NOT_SAFETENSORS);
  }
  const end = LENGTH_BYTES + length;
  if (first.byteLength > LENGTH_BYTES && first[LENGTH_BYTES] !== 0x7b) {
    throw invalid(source, `expected the header to begin with "{", found something else`, NOT_SAFETENSORS);
  }
  if (end > source.size) throw truncated(source, end);
  if (length < 2) throw invalid(source, `expected a header of at least 2 bytes, found a length of ${length}`);
  if (end <= first.byteLength) return { json: first.subarray(LENGTH_BYTES, end), bytesRead: first.byteLength };
  const json = new Uint8Array(length);
  json.set(first.subarray(LENGTH_BYTES));
  json.set(await source.read(first.byteLength, end), first.byteLength - LENGTH_BYTES);
  return { json, bytesRead: end };
}

function headerText(json: Uint8Array, source: ByteSource): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(json);
  } catch {
    throw invalid(source, "expected the header to be UTF-8 text, found bytes that are not");
  }
}

function parseHeaderJson(text: string, source: ByteSource): Record<string, unknown> {
  try {
    // The text begins with "{", so the value is an object.
    return parseJson(text, `${source.name} (header)`, {
      duplicateKeys: "refuse",
      nonFinite: false,
      maxValues: MAX_JSON_VALUES,
      maxKeys: MAX_TENSORS + 1,
    }) as Record<string, unknown>;
  } catch (cause) {
    if (!isHeirloomError(cause)) throw cause;
    throw HeirloomError.of([
      { ...cause.problems[0], code: "SAFETENSORS_INVALID", hint: "write the file again with the safetensors library" },
    ]);
  }
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0 && !Object.is(value, -0);

function readMetadata(value: unknown, where: string, problems: ProblemList): Record<string, string> {
  // MLX writes null where there is none, and the safetensors library reads it so.
  if (value === undefined || value === null) return {};
  const isObject = typeof value === "object" && !Array.isArray(value);
  if (!isObject || Object.values(value).some((item) => typeof item !== "string")) {
    problems.add("SAFETENSORS_INVALID", `__metadata__: expected an object of strings, found ${describeValue(value)}`, { where });
    return {};
  }
  return value as Record<string, string>;
}

/** The entry of one tensor, or what is wrong with it. */
function readEntry(name: string, value: unknown): PlainEntry | string {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return `expected an object, found ${describeValue(value)}`;
  const { dtype, shape, data_offsets: offsets } = value as Record<string, unknown>;
  if (!isSafetensorsDtype(dtype)) return `expected a dtype of ${SAFETENSORS_DTYPES.join(", ")}, found ${describeValue(dtype)}`;
  if (!Array.isArray(shape) || !shape.every(isCount)) return `expected a shape of whole numbers, found ${describeValue(shape)}`;
  if (shape.length > MAX_DIMENSIONS) return `expected at most ${MAX_DIMENSIONS} dimensions, found ${shape.length}`;
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount))
    return `expected two data_offsets, found ${describeValue(offsets)}`;
  const [start, end] = offsets as [number, number];
  const bytes = tensorBytes(dtype, shape);
  if (bytes === undefined) return `expected a size in whole bytes, found ${dtype} [${shape.join(", ")}]`;
  if (end - start !== bytes) return `expected ${bytes} bytes for ${dtype} [${shape.join(", ")}], found data_offsets of ${end - start}`;
  return { name, dtype, shape, start, end };
}

/** Tensors must follow one another without overlap or hole. Returns where the data ends. */
function checkLayout(entries: Iterable<TensorEntry>, dataStart: number, where: string): number {
  const problems = new ProblemList();
  let position = dataStart;
  for (const entry of entries) {
    if (entry.start !== position && problems.problems.length < MAX_PROBLEMS) {
      const fault = entry.start < position ? "overlaps the tensor before it" : "leaves a hole before it";
      problems.add(
        "SAFETENSORS_INVALID",
        `${printable(entry.name)}: expected its data at byte ${position}, found ${entry.start}: it ${fault}`,
        { where },
      );
    }
    position = Math.max(position, entry.end);
  }
  problems.throwIfAny();
  return position;
}

interface HeaderContent {
  readonly metadata: Readonly<Record<string, string>>;
  readonly entries: readonly PlainEntry[];
}

/** Reads a header of any form, and says all that is wrong with it. */
function readCarefully(text: string, source: ByteSource): HeaderContent {
  const values = parseHeaderJson(text, source);
  const where = printable(source.name);
  const names = Object.keys(values).filter((name) => name !== "__metadata__");
  if (names.length > MAX_TENSORS) throw invalid(source, `expected at most ${MAX_TENSORS} tensors, found ${names.length}`);
  const problems = new ProblemList();
  const metadata = readMetadata(values["__metadata__"], where, problems);
  const entries: PlainEntry[] = [];
  for (const name of names) {
    const entry = readEntry(name, values[name]);
    if (typeof entry !== "string") entries.push(entry);
    else if (problems.problems.length < MAX_PROBLEMS) problems.add("SAFETENSORS_INVALID", `${printable(name)}: ${entry}`, { where });
  }
  problems.throwIfAny();
  return { metadata, entries };
}

/** The tensors in the order of their data, each with the file that it lies in. Of a name that comes twice there is one. */
function placeEntries(entries: readonly PlainEntry[], dataStart: number, source: ByteSource): Map<string, StoredTensor> {
  const placed = entries.map(({ name, dtype, shape, start, end }): StoredTensor => {
    return { name, dtype, shape, start: dataStart + start, end: dataStart + end, source };
  });
  placed.sort((a, b) => a.start - b.start || a.end - b.end);
  const tensors = new Map<string, StoredTensor>();
  for (const tensor of placed) tensors.set(tensor.name, tensor);
  return tensors;
}

/** {@link readSafetensorsHeader}, with each tensor's file beside it. */
export async function readStoredTensors(
  source: ByteSource,
): Promise<Omit<SafetensorsHeader, "tensors"> & { readonly tensors: ReadonlyMap<string, StoredTensor> }> {
  const { json, bytesRead } = await readHeaderBytes(source);
  const text = headerText(json, source);
  const dataStart = LENGTH_BYTES + json.byteLength;
  let content = readPlainHeader(text, MAX_TENSORS) ?? readCarefully(text, source);
  let tensors = placeEntries(content.entries, dataStart, source);
  if (tensors.size < content.entries.length) {
    content = readCarefully(text, source);
    tensors = placeEntries(content.entries, dataStart, source);
  }
  const end = checkLayout(tensors.values(), dataStart, printable(source.name));
  if (end > source.size) throw truncated(source, end);
  if (end < source.size)
    throw invalid(source, `expected the file to end with its last tensor at byte ${end}, found ${source.size - end} more bytes`);
  return { metadata: content.metadata, tensors, bytesRead };
}

/**
 * Reads a safetensors header: names, dtypes, shapes and where the data lies.
 * One request for a usual header, two for a long one; no tensor data is read.
 * Checks what the safetensors library checks.
 *
 * @throws HeirloomError `SAFETENSORS_INVALID`, `SAFETENSORS_TRUNCATED`, `LFS_POINTER`
 */
export async function readSafetensorsHeader(source: ByteSource): Promise<SafetensorsHeader> {
  const { metadata, tensors, bytesRead } = await readStoredTensors(source);
  const entries = [...tensors.values()].map(({ source: _, ...entry }): [string, TensorEntry] => [entry.name, entry]);
  return { metadata, tensors: new Map(entries), bytesRead };
}
