import { InternalError } from "../core/index.ts";
import type { Crc32 } from "./torch-write-crc.ts";

/*
 * The zip archive as PyTorchStreamWriter lays it out (caffe2/serialize/inline_container.cc
 * over miniz, torch 2.13): stored entries, each with sizes and checksum behind its
 * data (flag 3), so that nothing has to be known or written twice; no dates. An extra field "FB"
 * of Zs brings every entry's data to a multiple of 64 bytes. The zip64 end record is
 * always there; an entry's zip64 field only where a size or place has 32 bits or more.
 */
const ALIGNMENT = 64;
const LOCAL_BYTES = 30;
const CENTRAL_BYTES = 46;
const END64_BYTES = 56;
const SIGNATURE = {
  local: 0x04034b50,
  descriptor: 0x08074b50,
  central: 0x02014b50,
  end64: 0x06064b50,
  locator64: 0x07064b50,
  end: 0x06054b50,
} as const;
/** Names are UTF-8 (bit 11); sizes and checksum follow the data (bit 3). */
const FLAGS = { utf8: 0x0800, descriptor: 0x0008 } as const;
const MAX_U16 = 0xffff;
const MAX_U32 = 0xffffffff;
const PADDING_LETTER = 0x5a;
/** Version fields as miniz fills them: made by UNIX at 3.0, needs 4.5 for zip64. */
const END64_VERSIONS = { madeBy: 0x031e, needed: 0x002d } as const;

/** A record to put into an archive. */
export interface ZipRecord {
  readonly name: string;
  readonly bytes: number;
  readonly data: Uint8Array | (() => Iterable<Uint8Array> | AsyncIterable<Uint8Array>);
}

interface WrittenRecord {
  readonly name: Uint8Array;
  readonly bytes: number;
  readonly crc: number;
  readonly start: number;
}

/** Little-endian fields one after the other. */
class Fields {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(size: number) {
    this.bytes = new Uint8Array(size);
    this.#view = new DataView(this.bytes.buffer);
  }

  u16(...values: readonly number[]): this {
    for (const value of values) {
      this.#view.setUint16(this.#at, value, true);
      this.#at += 2;
    }
    return this;
  }

  u32(...values: readonly number[]): this {
    for (const value of values) {
      this.#view.setUint32(this.#at, value, true);
      this.#at += 4;
    }
    return this;
  }

  u64(...values: readonly number[]): this {
    for (const value of values) {
      this.#view.setBigUint64(this.#at, BigInt(value), true);
      this.#at += 8;
    }
    return this;
  }

  raw(bytes: Uint8Array): this {
    this.bytes.set(bytes, this.#at);
    this.#at += bytes.byteLength;
    return this;
  }

  fill(value: number): this {
    this.bytes.fill(value, this.#at);
    return this;
  }
}

/** The zip64 field of an entry, empty if its 32-bit fields suffice. */
function wideField(sizes: readonly [number, number], start: number): Uint8Array {
  const values = [...(sizes[0] >= MAX_U32 || sizes[1] >= MAX_U32 ? sizes : []), ...(start >= MAX_U32 ? [start] : [])];
  if (values.length === 0) return new Uint8Array(0);
  return new Fields(4 + 8 * values.length).u16(1, 8 * values.length).u64(...values).bytes;
}

const flagsOf = (bytes: number): number => (bytes === 0 ? FLAGS.utf8 : FLAGS.utf8 | FLAGS.descriptor);

function localHeader(name: Uint8Array, bytes: number, start: number): Uint8Array {
  // The stored size is not known to miniz yet when it writes this.
  const wide = wideField([bytes, 0], start);
  const unpadded = LOCAL_BYTES + name.byteLength + wide.byteLength + 4;
  const padding = -(start + unpadded) & (ALIGNMENT - 1);
  return new Fields(unpadded + padding)
    .u32(SIGNATURE.local)
    .u16(0, flagsOf(bytes), 0, 0, 0)
    .u32(0, 0, 0)
    .u16(name.byteLength, wide.byteLength + 4 + padding)
    .raw(name)
    .raw(wide)
    .raw(Uint8Array.of(0x46, 0x42))
    .u16(padding)
    .fill(PADDING_LETTER).bytes;
}

function dataDescriptor({ bytes, crc, start }: WrittenRecord): Uint8Array {
  if (bytes === 0) return new Uint8Array(0);
  const isWide = wideField([bytes, bytes], start).byteLength > 0;
  const fields = new Fields(isWide ? 24 : 16).u32(SIGNATURE.descriptor, crc);
  return (isWide ? fields.u64(bytes, bytes) : fields.u32(bytes, bytes)).bytes;
}

function centralHeader({ name, bytes, crc, start }: WrittenRecord): Uint8Array {
  const wide = wideField([bytes, bytes], start);
  const size = Math.min(bytes, MAX_U32);
  return new Fields(CENTRAL_BYTES + name.byteLength + wide.byteLength)
    .u32(SIGNATURE.central)
    .u16(0, 0, flagsOf(bytes), 0, 0, 0)
    .u32(crc, size, size)
    .u16(name.byteLength, wide.byteLength, 0, 0, 0)
    .u32(0, Math.min(start, MAX_U32))
    .raw(name)
    .raw(wide).bytes;
}

function endRecords(count: number, bytes: number, start: number): Uint8Array {
  const short = Math.min(count, MAX_U16);
  return new Fields(END64_BYTES + 20 + 22)
    .u32(SIGNATURE.end64)
    .u64(END64_BYTES - 12)
    .u16(END64_VERSIONS.madeBy, END64_VERSIONS.needed)
    .u32(0, 0)
    .u64(count, count, bytes, start)
    .u32(SIGNATURE.locator64, 0)
    .u64(start + bytes)
    .u32(1)
    .u32(SIGNATURE.end)
    .u16(0, 0, short, short)
    .u32(Math.min(bytes, MAX_U32), Math.min(start, MAX_U32)).bytes;
}

/** Size of an archive of these records, to the byte. */
export function zipBytes(records: readonly Pick<ZipRecord, "name" | "bytes">[]): number {
  let at = 0;
  let directory = 0;
  for (const { name, bytes } of records) {
    const written = { name: new TextEncoder().encode(name), bytes, crc: 0, start: at };
    at += localHeader(written.name, bytes, at).byteLength + bytes + dataDescriptor(written).byteLength;
    directory += centralHeader(written).byteLength;
  }
  return at + directory + endRecords(records.length, directory, at).byteLength;
}

/** Writes a zip archive front to back. */
export class ZipStream {
  readonly #crc32: Crc32;
  readonly #written: WrittenRecord[] = [];
  #at = 0;

  constructor(crc32: Crc32) {
    this.#crc32 = crc32;
  }

  /** Checksums of the records so far, in their order; empty ones have none. */
  get checksums(): readonly number[] {
    return this.#written.filter(({ bytes }) => bytes > 0).map(({ crc }) => crc);
  }

  /** One record. @throws InternalError if its data are not as long as it says */
  async *add(record: ZipRecord): AsyncGenerator<Uint8Array, void, undefined> {
    const start = this.#at;
    const name = new TextEncoder().encode(record.name);
    yield this.#count(localHeader(name, record.bytes, start));
    const dataStart = this.#at;
    let crc = 0;
    for await (const chunk of record.data instanceof Uint8Array ? [record.data] : record.data()) {
      // Begun before the chunk is written and asked for after: another thread has taken it by then.
      const sum = this.#crc32(chunk, crc);
      yield this.#count(chunk);
      crc = await sum;
    }
    const bytes = this.#at - dataStart;
    if (bytes !== record.bytes) throw new InternalError(`${record.name}: expected ${record.bytes} bytes to write, got ${bytes}`);
    const written = { name, bytes, crc, start };
    this.#written.push(written);
    yield this.#count(dataDescriptor(written));
  }

  /** The directory, which ends the archive. */
  *end(): Generator<Uint8Array, void, undefined> {
    const start = this.#at;
    for (const record of this.#written) yield this.#count(centralHeader(record));
    yield endRecords(this.#written.length, this.#at - start, start);
  }

  #count(bytes: Uint8Array): Uint8Array {
    this.#at += bytes.byteLength;
    return bytes;
  }
}
