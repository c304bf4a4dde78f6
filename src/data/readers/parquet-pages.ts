import type { ByteSource, HeirloomError } from "../../core/index.ts";
import { containerFault } from "./reader.ts";

/*
 * hyparquet 1.31 believes the counts in a page. A run of equal values takes five bytes whatever its length, so that a flipped
 * bit makes it fill an array until V8 ends the process, which nothing can catch. The pages of a column are therefore walked
 * before they are decoded, and one that counts past every measure is an error. Source: the Parquet format, its page headers
 * (Thrift's compact protocol) and its hybrid of runs and packed bits.
 */

/** Values of a page. Twice as many still fit in an array that grows by half. A page of a megabyte of constant lists has some millions. */
const MAX_PAGE_VALUES = 2 ** 25;
/** Writers make pages of 1 MB; a page is at least one value, which may be a book. */
export const MAX_PAGE_BYTES = 256 * 1024 * 1024;
/** A header has some tens of bytes, and as statistics the least and the greatest value, which may be books. */
const HEADER_BYTES = 64 * 1024;

const pageFault = (message: string): HeirloomError => containerFault("a page", message);

/** What is to be known of a column to walk its pages. */
export interface PageColumn {
  /** The first byte of its pages, and that after the last. */
  readonly firstByte: number;
  readonly endByte: number;
  readonly isBoolean: boolean;
  /** 0 where the column cannot repeat, or cannot be null. */
  readonly maxRepetitionLevel: number;
  readonly maxDefinitionLevel: number;
  /** The bytes of a page, as many as its header says. */
  readonly decompress: (input: Uint8Array, outputLength: number) => Uint8Array;
}

/** Where the pages lie, headers included. */
export type PageRanges = ReadonlyMap<number, number>;

class Bytes {
  readonly #view: DataView;
  at = 0;

  constructor(bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** @throws RangeError past the end */
  byte(): number {
    return this.#view.getUint8(this.at++);
  }

  skip(count: number): void {
    this.at += count;
  }

  uint32(): number {
    this.at += 4;
    return this.#view.getUint32(this.at - 4, true);
  }

  /** An unsigned number of at most `bits` bits. */
  varint(bits = 32): number {
    let value = 0;
    for (let shift = 0; shift < bits; shift += 7) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw pageFault(`expected a number of at most ${bits} bits`);
  }

  zigzag(): number {
    const value = this.varint();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }
}

/** The whole numbers of a Thrift structure by their field, structures within it likewise; anything else is passed over. */
interface Fields {
  readonly numbers: ReadonlyMap<number, number>;
  readonly structures: ReadonlyMap<number, Fields>;
}

/** Types of Thrift's compact protocol. */
const TYPE = { stop: 0, true: 1, false: 2, byte: 3, i16: 4, i32: 5, i64: 6, double: 7, binary: 8, structure: 12 } as const;

function readFields(bytes: Bytes): Fields {
  const numbers = new Map<number, number>();
  const structures = new Map<number, Fields>();
  let field = 0;
  for (;;) {
    const head = bytes.byte();
    const type = head & 0x0f;
    if (type === TYPE.stop) return { numbers, structures };
    const step = head >> 4;
    field = step === 0 ? bytes.zigzag() : field + step;
    if (type === TYPE.true || type === TYPE.false) numbers.set(field, type === TYPE.true ? 1 : 0);
    else if (type === TYPE.byte) numbers.set(field, bytes.byte());
    else if (type === TYPE.i16 || type === TYPE.i32) numbers.set(field, bytes.zigzag());
    else if (type === TYPE.i64) bytes.varint(70);
    else if (type === TYPE.double) bytes.skip(8);
    else if (type === TYPE.binary) bytes.skip(bytes.varint());
    else if (type === TYPE.structure) structures.set(field, readFields(bytes));
    else throw pageFault(`found a field of type ${type} in a page's header`);
  }
}

/** Told of every run of equal values, and of each packed value. */
type OnRun = (value: number, times: number) => void;

/** Walks runs and packed bits until there are `count` values. @returns never with fewer: the bytes end first, which is a RangeError */
function walkHybrid(bytes: Bytes, bits: number, count: number, each?: OnRun): void {
  for (let seen = 0; seen < count; ) {
    const head = bytes.varint();
    const run = Math.floor(head / 2);
    if (run > MAX_PAGE_VALUES) throw pageFault(`found a run of ${run} in a page of ${count} values`);
    if (head % 2 === 0) {
      let value = 0;
      for (let shift = 0; shift < bits; shift += 8) value += bytes.byte() * 2 ** shift;
      each?.(value, Math.min(run, count - seen));
      seen += run;
    } else {
      if (each === undefined) bytes.skip(run * bits);
      else walkPacked(bytes, bits, run, Math.min(8 * run, count - seen), each);
      seen += 8 * run;
    }
  }
}

/** `groups` times eight values of `bits` bits each, lowest bits first, of which `count` are told. */
function walkPacked(bytes: Bytes, bits: number, groups: number, count: number, each: OnRun): void {
  const end = bytes.at + groups * bits;
  let [held, heldBits] = [0, 0];
  for (let i = 0; i < count; i++) {
    while (heldBits < bits) {
      held |= bytes.byte() << heldBits;
      heldBits += 8;
    }
    each(held & ((1 << bits) - 1), 1);
    held >>>= bits;
    heldBits -= bits;
  }
  bytes.at = end;
}

const bitsOf = (maxLevel: number): number => 32 - Math.clz32(maxLevel);

/** Definition levels of a page, to tell how many of its values are stored. @returns that number */
function walkDefinitions(bytes: Bytes, count: number, maxLevel: number): number {
  let stored = 0;
  walkHybrid(bytes, bitsOf(maxLevel), count, (level, times) => {
    if (level === maxLevel) stored += times;
  });
  return stored;
}

/** Encodings whose values are runs and packed bits, by their number in the format. */
const HYBRID = { plainDictionary: 2, runLength: 3, dictionary: 8 } as const;

function walkValues(bytes: Bytes, encoding: number | undefined, count: number, isBoolean: boolean): void {
  if (encoding === HYBRID.runLength || encoding === HYBRID.dictionary || encoding === HYBRID.plainDictionary) {
    if (isBoolean) bytes.skip(4); // their length
    const bits = isBoolean ? 1 : bytes.byte();
    if (bits > 0) walkHybrid(bytes, bits, count);
  }
}

/** A count of a header. */
function countOf(fields: Fields, field: number, most: number, what: string): number {
  const count = fields.numbers.get(field);
  if (count === undefined || count < 0 || count > most)
    throw pageFault(`expected at most ${most} ${what}, found ${count === undefined ? "no number" : count}`);
  return count;
}

/** Fields of a page's header, and of what is in it for each type of page. */
const PAGE = { bytes: 2, storedBytes: 3, data: 5, dataV2: 8 } as const;
const DATA = { values: 1, encoding: 2 } as const;
const DATA_V2 = { values: 1, nulls: 2, encoding: 4, definitionBytes: 5, repetitionBytes: 6, compressed: 7 } as const;

/** Levels and values lie compressed together, each kind of level after its length. */
function walkData(header: Fields, data: Fields, stored: Uint8Array, column: PageColumn): void {
  const count = countOf(data, DATA.values, MAX_PAGE_VALUES, "values in a page");
  const bytes = new Bytes(column.decompress(stored, countOf(header, PAGE.bytes, MAX_PAGE_BYTES, "bytes in a page")));
  let present = count;
  if (column.maxRepetitionLevel > 0) {
    const end = bytes.uint32() + bytes.at;
    walkHybrid(bytes, bitsOf(column.maxRepetitionLevel), count);
    bytes.at = end;
  }
  if (column.maxDefinitionLevel > 0) {
    const end = bytes.uint32() + bytes.at;
    present = walkDefinitions(bytes, count, column.maxDefinitionLevel);
    bytes.at = end;
  }
  walkValues(bytes, data.numbers.get(DATA.encoding), present, column.isBoolean);
}

/** Levels lie uncompressed before the values, and the header has their lengths. */
function walkDataV2(header: Fields, data: Fields, stored: Uint8Array, column: PageColumn): void {
  const count = countOf(data, DATA_V2.values, MAX_PAGE_VALUES, "values in a page");
  const present = count - countOf(data, DATA_V2.nulls, count, "nulls in a page");
  const repetition = countOf(data, DATA_V2.repetitionBytes, stored.length, "bytes of repetition levels");
  const levels = repetition + countOf(data, DATA_V2.definitionBytes, stored.length - repetition, "bytes of definition levels");
  const bytes = new Bytes(stored);
  if (column.maxRepetitionLevel > 0) walkHybrid(bytes, bitsOf(column.maxRepetitionLevel), count);
  bytes.at = repetition;
  if (column.maxDefinitionLevel > 0) walkHybrid(bytes, bitsOf(column.maxDefinitionLevel), count);
  const values = stored.subarray(levels);
  const size = countOf(header, PAGE.bytes, MAX_PAGE_BYTES, "bytes in a page") - levels;
  const plain = data.numbers.get(DATA_V2.compressed) === 0 ? values : column.decompress(values, size);
  walkValues(new Bytes(plain), data.numbers.get(DATA_V2.encoding), present, column.isBoolean);
}

/** The header at a byte of the file, of which more is read until it is whole. */
async function readHeader(file: ByteSource, at: number, endByte: number): Promise<{ header: Fields; bytes: number }> {
  for (let size = HEADER_BYTES; ; size *= 4) {
    const end = Math.min(at + size, endByte);
    const bytes = new Bytes(await file.read(at, end));
    try {
      const header = readFields(bytes);
      return { header, bytes: bytes.at };
    } catch (error) {
      if (!(error instanceof RangeError) || end === endByte) throw error;
    }
  }
}

/**
 * Walks the pages of a column as hyparquet will read them.
 * @returns the byte after each page by its first one
 * @throws DATA_FORMAT_INVALID at a page that counts past every measure; RangeError at one that ends before its values
 */
export async function walkPages(file: ByteSource, column: PageColumn): Promise<PageRanges> {
  const { firstByte, endByte } = column;
  if (!(firstByte >= 0 && firstByte <= endByte && endByte <= file.size))
    throw pageFault(`expected pages within ${file.size} bytes, found bytes ${firstByte} to ${endByte}`);
  const ranges = new Map<number, number>();
  for (let at = firstByte; at < endByte - 1; ) {
    const { header, bytes } = await readHeader(file, at, endByte);
    const storedAt = at + bytes;
    const size = countOf(header, PAGE.storedBytes, Math.min(MAX_PAGE_BYTES, endByte - storedAt), "bytes stored of a page");
    const [data, dataV2] = [PAGE.data, PAGE.dataV2].map((field) => header.structures.get(field));
    if (data !== undefined || dataV2 !== undefined) {
      const stored = await file.read(storedAt, storedAt + size);
      if (data !== undefined) walkData(header, data, stored, column);
      if (dataV2 !== undefined) walkDataV2(header, dataV2, stored, column);
    }
    ranges.set(at, storedAt + size);
    at = storedAt + size;
  }
  return ranges;
}
