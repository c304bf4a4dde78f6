import { type ByteSource, HeirloomError } from "../core/index.ts";
import { printable } from "./printable.ts";

/*
 * The zip archive of torch.save: entries that are stored, not compressed, one
 * after the other, then the central directory, then its end record (APPNOTE.TXT
 * 4.3; zip64 beyond 4 GiB or 65,535 entries). Local headers are padded so that
 * data lie at multiples of 64 bytes, so an entry's data start is known only from
 * its local header.
 *
 * Limits, and why:
 */
/** As many as tensors are read (pickle.ts), and some small ones. */
const MAX_ENTRIES = 250_000;
/** 46 bytes and a short name each. */
const MAX_DIRECTORY_BYTES = 33_554_432;
/** The end record with the longest comment that its 16-bit length allows. */
const MAX_END_BYTES = 22 + 65_535;
const END_BYTES = 22;
const END64_BYTES = 56;
const LOCATOR64_BYTES = 20;
const LOCAL_BYTES = 30;
const CENTRAL_BYTES = 46;
const SIGNATURE = { local: 0x04034b50, central: 0x02014b50, end: 0x06054b50, end64: 0x06064b50, locator64: 0x07064b50 } as const;
/** A 16 or 32-bit field that says: see the zip64 record. */
const SEE_64 = { u16: 0xffff, u32: 0xffffffff } as const;
const FLAG_ENCRYPTED = 0x2041;
const ZIP64_EXTRA = 1;

/** A stored file inside an archive. */
export interface ZipEntry {
  readonly name: string;
  readonly size: number;
  /** Where its local header lies. */
  readonly headerStart: number;
}

/** An archive by its central directory. */
export interface ZipDirectory {
  readonly entries: ReadonlyMap<string, ZipEntry>;
  /** Where the central directory begins: no data lie beyond. */
  readonly start: number;
}

function invalid(source: ByteSource, message: string): HeirloomError {
  return new HeirloomError("TORCH_FILE_INVALID", message, {
    where: printable(source.name),
    hint: "the download or copy was cut short or damaged: fetch the file again",
  });
}

function unsupported(source: ByteSource, message: string, hint: string): HeirloomError {
  return new HeirloomError("TORCH_FILE_UNSUPPORTED", message, { where: printable(source.name), hint });
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** A 64-bit field as a number; one that is not safe is larger than any file and is refused by the checks that follow. */
const uint64 = (view: DataView, at: number): number => Number(view.getBigUint64(at, true));

interface EndRecord {
  readonly count: number;
  readonly directoryBytes: number;
  readonly directoryStart: number;
}

/** The zip64 end record, if a locator for it lies before the plain one. */
async function readEnd64(source: ByteSource, endStart: number): Promise<EndRecord> {
  const locatorStart = endStart - LOCATOR64_BYTES;
  if (locatorStart < END64_BYTES) throw invalid(source, "expected a zip64 end record, found no room for one");
  const locator = viewOf(await source.read(locatorStart, endStart));
  const start = uint64(locator, 8);
  if (locator.getUint32(0, true) !== SIGNATURE.locator64 || start > locatorStart - END64_BYTES)
    throw invalid(source, "expected the place of a zip64 end record, found something else");
  const record = viewOf(await source.read(start, start + END64_BYTES));
  if (record.getUint32(0, true) !== SIGNATURE.end64) throw invalid(source, "expected a zip64 end record, found something else");
  return { count: uint64(record, 32), directoryBytes: uint64(record, 40), directoryStart: uint64(record, 48) };
}

async function readEnd(source: ByteSource): Promise<EndRecord> {
  const start = Math.max(0, source.size - MAX_END_BYTES);
  const tail = await source.read(start, source.size);
  const view = viewOf(tail);
  for (let at = tail.byteLength - END_BYTES; at >= 0; at--) {
    if (view.getUint32(at, true) !== SIGNATURE.end || at + END_BYTES + view.getUint16(at + 20, true) !== tail.byteLength) continue;
    const end = {
      count: view.getUint16(at + 10, true),
      directoryBytes: view.getUint32(at + 12, true),
      directoryStart: view.getUint32(at + 16, true),
    };
    const needs64 = end.count === SEE_64.u16 || end.directoryBytes === SEE_64.u32 || end.directoryStart === SEE_64.u32;
    return needs64 ? readEnd64(source, start + at) : end;
  }
  throw invalid(source, "expected a zip archive to end with its directory, found none: the file is cut short");
}

/** The 64-bit values of an entry whose 32-bit fields say that they are too large for them, in the order of the format. */
function values64(extra: DataView): number[] {
  for (let at = 0; at + 4 <= extra.byteLength; ) {
    const length = extra.getUint16(at + 2, true);
    if (extra.getUint16(at, true) === ZIP64_EXTRA) {
      const count = Math.floor(Math.min(length, extra.byteLength - at - 4) / 8);
      return Array.from({ length: count }, (_, i) => uint64(extra, at + 4 + 8 * i));
    }
    at += 4 + length;
  }
  return [];
}

interface CentralEntry {
  readonly name: string;
  readonly flags: number;
  readonly method: number;
  readonly stored: number;
  readonly size: number;
  readonly headerStart: number;
  readonly next: number;
}

function centralEntry(source: ByteSource, directory: Uint8Array, at: number): CentralEntry {
  const view = viewOf(directory);
  if (at + CENTRAL_BYTES > directory.byteLength || view.getUint32(at, true) !== SIGNATURE.central)
    throw invalid(source, "expected another entry in the zip directory, found something else");
  const nameEnd = at + CENTRAL_BYTES + view.getUint16(at + 28, true);
  const extraEnd = nameEnd + view.getUint16(at + 30, true);
  const next = extraEnd + view.getUint16(at + 32, true);
  if (next > directory.byteLength) throw invalid(source, "expected an entry inside the zip directory, found one that runs over its end");
  const wide = values64(viewOf(directory.subarray(nameEnd, extraEnd)));
  const field = (offset: number): number => {
    const value = view.getUint32(at + offset, true);
    return value === SEE_64.u32 ? (wide.shift() ?? value) : value;
  };
  const size = field(24);
  const stored = field(20);
  return {
    name: new TextDecoder().decode(directory.subarray(at + CENTRAL_BYTES, nameEnd)),
    flags: view.getUint16(at + 8, true),
    method: view.getUint16(at + 10, true),
    size,
    stored,
    headerStart: field(42),
    next,
  };
}

function checkEntry(source: ByteSource, entry: CentralEntry, directoryStart: number): ZipEntry {
  const { name, flags, method, stored, size, headerStart } = entry;
  const what = printable(name);
  if ((flags & FLAG_ENCRYPTED) !== 0)
    throw unsupported(
      source,
      `${what}: expected a plain entry, found an encrypted one`,
      "torch.save does not encrypt: unpack the archive first",
    );
  if (method !== 0)
    throw unsupported(
      source,
      `${what}: expected stored data, found compressed data (method ${method})`,
      "torch.save does not compress: save the file again with it",
    );
  if (stored !== size) throw invalid(source, `${what}: expected one size for a stored entry, found ${stored} and ${size}`);
  if (headerStart + LOCAL_BYTES + size > directoryStart)
    throw invalid(source, `${what}: expected its ${size} bytes before the directory at byte ${directoryStart}, found it beyond`);
  return { name, size, headerStart };
}

/**
 * Reads the directory of a zip archive whose entries are all stored. Nothing is unpacked.
 *
 * @throws TORCH_FILE_INVALID, TORCH_FILE_UNSUPPORTED
 */
export async function readZipDirectory(source: ByteSource): Promise<ZipDirectory> {
  const { count, directoryBytes, directoryStart } = await readEnd(source);
  if (count > MAX_ENTRIES) throw invalid(source, `expected at most ${MAX_ENTRIES} entries, found ${count}`);
  if (directoryBytes > MAX_DIRECTORY_BYTES)
    throw invalid(source, `expected a directory of at most ${MAX_DIRECTORY_BYTES} bytes, found ${directoryBytes}`);
  if (directoryStart + directoryBytes > source.size || count * CENTRAL_BYTES > directoryBytes)
    throw invalid(
      source,
      `expected a directory of ${count} entries inside the file, found one of ${directoryBytes} bytes at byte ${directoryStart}`,
    );
  const directory = await source.read(directoryStart, directoryStart + directoryBytes);
  const entries = new Map<string, ZipEntry>();
  let total = 0;
  for (let i = 0, at = 0; i < count; i++) {
    const central = centralEntry(source, directory, at);
    at = central.next;
    const entry = checkEntry(source, central, directoryStart);
    if (entries.has(entry.name)) throw invalid(source, `expected each name once, found ${printable(entry.name)} twice`);
    entries.set(entry.name, entry);
    total += LOCAL_BYTES + entry.size;
  }
  // Entries that share bytes would unpack to more than the file holds.
  if (total > directoryStart) throw invalid(source, `expected entries side by side, found ${total} bytes of them in ${directoryStart}`);
  return { entries, start: directoryStart };
}

/**
 * Where an entry's data begin, from its local header.
 *
 * @throws TORCH_FILE_INVALID
 */
export async function zipDataStart(source: ByteSource, directory: ZipDirectory, entry: ZipEntry): Promise<number> {
  const name = new TextEncoder().encode(entry.name);
  const bytes = await source.read(entry.headerStart, Math.min(directory.start, entry.headerStart + LOCAL_BYTES + name.byteLength));
  const header = viewOf(bytes);
  const named = bytes.subarray(LOCAL_BYTES);
  const start = entry.headerStart + LOCAL_BYTES + header.getUint16(26, true) + header.getUint16(28, true);
  if (header.getUint32(0, true) !== SIGNATURE.local || !name.every((byte, i) => named[i] === byte) || start + entry.size > directory.start)
    throw invalid(source, `${printable(entry.name)}: expected its local header at byte ${entry.headerStart}, found something else`);
  return start;
}
