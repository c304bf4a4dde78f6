import type { Compressors, FileMetaData, SchemaTree } from "hyparquet";
import { type HeirloomError, isHeirloomError } from "../../core/index.ts";
import type { FileSource } from "../../core/node/index.ts";
import { printable } from "../../formats/index.ts";
import { containerFault, type Reader, type SourceRow } from "./reader.ts";

/**
 * Decoded at a time, as the file counts its bytes. Writers make row groups of up to 512 MB; a part of a group costs decoding
 * its pages from the start again, so parts are not smaller than this.
 */
const BYTES_AT_A_TIME = 64 * 1024 * 1024;
/** Writers make pages of 1 MB; a page is at least one value, which may be a book. */
const MAX_PAGE_BYTES = 256 * 1024 * 1024;
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

/** The decompressors, none of which is asked for more than a page's worth. */
function boundedCompressors(compressors: Compressors): Compressors {
  return Object.fromEntries(
    Object.entries(compressors).map(([name, decompress]) => [
      name,
      (input: Uint8Array, outputLength: number) => {
        if (outputLength > MAX_PAGE_BYTES || outputLength < 0)
          throw containerFault(name, `expected a page of at most ${MAX_PAGE_BYTES} bytes, found one of ${outputLength}`);
        return decompress(input, outputLength);
      },
    ]),
  );
}

/** The paths of the columns that hold values. */
function leafPaths({ children, path }: SchemaTree): string[] {
  return children.length === 0 ? [path.join(".")] : children.flatMap(leafPaths);
}

/**
 * Every row group must have exactly the columns of the schema. hyparquet 1.31 starts to read all columns at once and waits
 * for those of the schema only: any other that is broken would end the process with an unhandled rejection.
 */
function checkColumnsOf(metadata: FileMetaData, schema: SchemaTree, where: string): void {
  const expected = leafPaths(schema).sort().join("\n");
  for (const [i, { columns }] of metadata.row_groups.entries()) {
    const found = columns.map(({ meta_data: meta }) => meta?.path_in_schema.join(".") ?? "").sort();
    if (found.join("\n") !== expected)
      throw containerFault(where, `the columns of row group ${i + 1} are not those of the schema`, "download or write the file again");
  }
}

function broken(where: string, cause: unknown): HeirloomError {
  if (isHeirloomError(cause) && cause.problems[0].where === where) return cause;
  const reason = printable(cause instanceof Error ? cause.message : String(cause));
  return containerFault(where, `the Parquet file could not be read: ${reason}`, "download or write the file again", cause);
}

async function footerOf(file: FileSource, where: string): Promise<void> {
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

/** Parquet with any usual compression; row groups are decoded one at a time, large ones in parts, nested lists and structs become lists and objects. */
export const parquet: Reader = {
  container: "parquet",
  extensions: [".parquet"],
  async *rows(file, { where }): AsyncGenerator<SourceRow, void, undefined> {
    const [{ parquetMetadataAsync, parquetReadObjects, parquetSchema }, { compressors }] = await Promise.all([
      import("hyparquet"),
      import("hyparquet-compressors"),
    ]);
    await footerOf(file, where);
    const buffer = {
      byteLength: file.size,
      slice(start: number, end = file.size): Promise<ArrayBuffer> {
        const bytes = file.read(start, end).then((read) => read.buffer as ArrayBuffer);
        // All ranges are asked for ahead, and those after a broken one are let go of: nobody hears that they failed, too.
        bytes.catch(() => undefined);
        return bytes;
      },
    };
    let metadata: FileMetaData;
    try {
      metadata = await parquetMetadataAsync(buffer);
      checkColumnsOf(metadata, parquetSchema(metadata), where);
    } catch (error) {
      throw broken(where, error);
    }
    let row = 0;
    for (const { num_rows: count, total_byte_size: bytes } of metadata.row_groups) {
      const groupEnd = row + Number(count);
      const step = Math.max(1, Math.ceil(Number(count) / Math.max(1, Math.ceil(Number(bytes) / BYTES_AT_A_TIME))));
      while (row < groupEnd) {
        const rowEnd = Math.min(groupEnd, row + step);
        let records: readonly Record<string, unknown>[];
        try {
          records = await parquetReadObjects({
            file: buffer,
            metadata,
            rowStart: row,
            rowEnd,
            compressors: boundedCompressors(compressors),
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
