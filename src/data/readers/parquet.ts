import type { AsyncBuffer, Compressors, FileMetaData, OffsetIndex, SchemaTree } from "hyparquet";
import { type ByteSource, type HeirloomError, isHeirloomError } from "../../core/index.ts";
import type { FileSource } from "../../core/node/index.ts";
import { printable } from "../../formats/index.ts";
import { pageDecompressors } from "./parquet-codecs.ts";
import { type PageColumn, type PageRanges, walkPages } from "./parquet-pages.ts";
import { containerFault, type Reader, type SourceRow } from "./reader.ts";

/**
 * Decoded at a time, as the file counts its bytes. Writers make row groups of up to 512 MB; a part of a group costs decoding
 * its pages from the start again, so parts are not smaller than this.
 */
const BYTES_AT_A_TIME = 64 * 1024 * 1024;
/** The footer of a file with 10,000 row groups of 20 columns is some 30 MB. */
const MAX_FOOTER_BYTES = 64 * 1024 * 1024;

/** Bytes of a column that does not say that it is text (older writers), or does. */
function decodeText(bytes: Uint8Array, at: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw containerFault(at, "expected UTF-8 text, found bytes that are not", "store the column as a UTF-8 string", cause);
  }
}

/** A value as JSON would hold it: 64-bit numbers as numbers where they are exact. */
function plain(value: unknown, at: string): unknown {
  if (typeof value === "bigint") {
    const number = Number(value);
    if (!Number.isSafeInteger(number))
      throw containerFault(at, `the number ${value} has no exact JavaScript number`, "leave the column out, or store it as text");
    return number;
  }
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Uint8Array) return decodeText(value, at);
  if (Array.isArray(value)) return value.map((item, i) => plain(item, `${at}[${i}]`));
  if (typeof value === "object" && value !== null)
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item, `${at}.${key}`)]));
  return value;
}

type Levels = Pick<PageColumn, "maxRepetitionLevel" | "maxDefinitionLevel">;

/** The columns that hold values, by their paths, with their levels as hyparquet counts them. */
function leaves({ children, path, element: { repetition_type: own } }: SchemaTree, above?: Levels): [string, Levels][] {
  const { maxRepetitionLevel = 0, maxDefinitionLevel = 0 } = above ?? {};
  const levels = {
    maxRepetitionLevel: maxRepetitionLevel + (own === "REPEATED" ? 1 : 0),
    // The root is no field.
    maxDefinitionLevel: maxDefinitionLevel + (above === undefined || own === "REQUIRED" ? 0 : 1),
  };
  return children.length === 0 ? [[path.join("."), levels]] : children.flatMap((child) => leaves(child, levels));
}

/**
 * Every row group must have exactly the columns of the schema. hyparquet 1.31 starts to read all columns at once and waits
 * for those of the schema only: any other that is broken would end the process with an unhandled rejection.
 */
function checkColumnsOf(metadata: FileMetaData, schema: SchemaTree, where: string): void {
  const expected = leaves(schema)
    .map(([path]) => path)
    .sort()
    .join("\n");
  for (const [i, { columns }] of metadata.row_groups.entries()) {
    const found = columns.map(({ meta_data: meta }) => meta?.path_in_schema.join(".") ?? "").sort();
    if (found.join("\n") !== expected)
      throw containerFault(where, `the columns of row group ${i + 1} are not those of the schema`, "download or write the file again");
  }
}

/** Walks all pages of a row group, and holds the index of pages, by which hyparquet finds them, against what was found. */
async function checkPages(
  { columns }: FileMetaData["row_groups"][number],
  file: ByteSource,
  levels: ReadonlyMap<string, Levels>,
  compressors: Compressors,
): Promise<void> {
  const { readOffsetIndex } = await import("hyparquet");
  for (const { meta_data: meta, offset_index_offset: indexAt, offset_index_length: indexBytes } of columns) {
    const path = meta?.path_in_schema.join(".") ?? "";
    const ofColumn = levels.get(path);
    if (meta === undefined || ofColumn === undefined) continue; // checkColumnsOf refused it
    // A column without a dictionary, or of a writer that left its place out.
    const first = meta.dictionary_page_offset || meta.data_page_offset;
    const decompress = meta.codec === "UNCOMPRESSED" ? (input: Uint8Array) => input : compressors[meta.codec];
    if (decompress === undefined) throw containerFault(printable(path), `the compression ${meta.codec} is not supported`);
    const pages = await walkPages(file, {
      ...ofColumn,
      firstByte: Number(first),
      endByte: Number(first + meta.total_compressed_size),
      isBoolean: meta.type === "BOOLEAN",
      decompress,
    });
    if (!indexAt || !indexBytes) continue;
    const index = await file.read(Number(indexAt), Number(indexAt) + indexBytes);
    checkIndex(readOffsetIndex({ view: new DataView(index.buffer, index.byteOffset, index.byteLength), offset: 0 }), pages, path);
  }
}

function checkIndex({ page_locations: locations }: OffsetIndex, pages: PageRanges, path: string): void {
  for (const { offset, compressed_page_size: bytes } of locations) {
    const first = Number(offset);
    if (pages.get(first) !== first + bytes)
      throw containerFault(printable(path), `the index of its pages has one at byte ${first} that is not there`);
  }
}

function broken(where: string, cause: unknown): HeirloomError {
  if (isHeirloomError(cause) && cause.problems[0].where === where) return cause;
  const reason = printable(cause instanceof Error ? cause.message : String(cause));
  return containerFault(where, `the Parquet file could not be read: ${reason}`, "download or write the file again", cause);
}

/** The last bytes of a file say whether it is whole. */
async function checkEnd(file: FileSource, where: string): Promise<void> {
  const fail = (found: string): never => {
    throw containerFault(where, `expected a Parquet file, found ${found}`, "download or write the file again");
  };
  // Magic, at least one byte, the footer's length, magic.
  if (file.size < 12) fail(`${file.size} bytes`);
  const tail = await file.read(file.size - 8, file.size);
  const magic = new TextDecoder().decode(tail.subarray(4));
  if (magic === "PARE") fail("an encrypted one");
  if (magic !== "PAR1") fail("a file that was cut short: it does not end with PAR1");
  const length = new DataView(tail.buffer, tail.byteOffset).getUint32(0, true);
  if (length > MAX_FOOTER_BYTES || length + 12 > file.size) fail(`a footer of ${length} bytes in a file of ${file.size}`);
}

/** The file as hyparquet reads it. */
function bufferOf(file: ByteSource): AsyncBuffer {
  return {
    byteLength: file.size,
    slice(start: number, end = file.size): Promise<ArrayBuffer> {
      const bytes = file.read(start, end).then((read) => read.buffer as ArrayBuffer);
      // All ranges are asked for ahead, and those after a broken one are let go of: nobody hears that they failed, too.
      bytes.catch(() => undefined);
      return bytes;
    },
  };
}

/** What the footer says, and how the columns nest. */
async function readFooter(buffer: AsyncBuffer, where: string): Promise<{ metadata: FileMetaData; levels: ReadonlyMap<string, Levels> }> {
  const { parquetMetadataAsync, parquetSchema } = await import("hyparquet");
  try {
    // Without its columns of geometry, for which hyparquet 1.31 searches some broken schemas without an end.
    const metadata = await parquetMetadataAsync(buffer, { geoparquet: false });
    const schema = parquetSchema(metadata);
    checkColumnsOf(metadata, schema, where);
    return { metadata, levels: new Map(leaves(schema)) };
  } catch (error) {
    throw broken(where, error);
  }
}

/** Parquet with any usual compression; row groups are decoded one at a time, large ones in parts, nested lists and structs become lists and objects. */
export const parquet: Reader = {
  container: "parquet",
  extensions: [".parquet"],
  async *rows(file, { where }): AsyncGenerator<SourceRow, void, undefined> {
    const { parquetReadObjects } = await import("hyparquet");
    await checkEnd(file, where);
    const buffer = bufferOf(file);
    const compressors = await pageDecompressors();
    const { metadata, levels } = await readFooter(buffer, where);
    let row = 0;
    for (const group of metadata.row_groups) {
      const { num_rows: count, total_byte_size: bytes } = group;
      const groupEnd = row + Number(count);
      const step = Math.max(1, Math.ceil(Number(count) / Math.max(1, Math.ceil(Number(bytes) / BYTES_AT_A_TIME))));
      try {
        await checkPages(group, file, levels, compressors);
      } catch (error) {
        throw broken(`${where}:${row + 1}`, error);
      }
      while (row < groupEnd) {
        const rowEnd = Math.min(groupEnd, row + step);
        let records: readonly Record<string, unknown>[];
        try {
          records = await parquetReadObjects({
            file: buffer,
            metadata,
            rowStart: row,
            rowEnd,
            compressors,
            useOffsetIndex: true,
            utf8: false,
            parsers: { stringFromBytes: (bytes: Uint8Array) => decodeText(bytes, where) },
          });
        } catch (error) {
          throw broken(`${where}:${row + 1}`, error);
        }
        if (records.length !== rowEnd - row)
          throw containerFault(
            where,
            `expected ${rowEnd - row} rows from row ${row + 1} on, found ${records.length}`,
            "download or write the file again",
          );
        for (const record of records) {
          row++;
          yield { row, value: plain(record, `${where}:${row}`) };
        }
      }
    }
  },
};
