import { HeirloomError } from "../../core/index.ts";
import { type FileSource, openFile } from "../../core/node/index.ts";
import { printable } from "../../formats/index.ts";
import { notUtf8, Utf8Position } from "./utf8.ts";

/** The containers that are read; one file of this folder each. */
export type Container = "jsonl" | "json" | "csv" | "parquet" | "text";

/** A row as it stands in its file. */
export interface SourceRow {
  /** From 1: the line of JSON Lines, the record of any other container. */
  readonly row: number;
  readonly value: unknown;
}

/** How plain text becomes rows. */
export type TextRows = "file" | "paragraph" | "line";

/** What a reader is told besides the file. */
export interface ReadRowsOptions {
  /** The path as the user gave it, for messages. */
  readonly where: string;
  /** Lower-case ending of the name, with its dot. */
  readonly extension: string;
  readonly textRows: TextRows;
}

/** A container: how it is read row by row, never whole unless it is one row. */
export interface Reader {
  readonly container: Container;
  /** Endings of names that say it is this. */
  readonly extensions: readonly string[];
  rows(file: FileSource, options: ReadRowsOptions): AsyncGenerator<SourceRow, void, undefined>;
}

/** Read at a time. */
const CHUNK_BYTES = 1024 * 1024;
/** Longest row. Real rows with whole books in them stay under 10 MB. */
export const MAX_ROW_BYTES = 64 * 1024 * 1024;

/** The bytes of a file in order. */
async function* chunksOf(file: FileSource): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < file.size; at += CHUNK_BYTES) yield await file.read(at, Math.min(file.size, at + CHUNK_BYTES));
}

/** The text of a file in order, without a byte order mark. @throws DATA_FORMAT_INVALID where it is not UTF-8 */
export async function* textOf(file: FileSource, where: string): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const position = new Utf8Position();
  let chunk: Uint8Array = new Uint8Array();
  try {
    for await (chunk of chunksOf(file)) {
      const text = decoder.decode(chunk, { stream: true });
      position.pass(chunk);
      if (text !== "") yield text;
    }
    chunk = new Uint8Array();
    const rest = decoder.decode();
    if (rest !== "") yield rest;
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause;
    throw notUtf8(position.ofFault(chunk), where, cause);
  }
}

/** What is wrong with a container, at a row of it if that is known. */
export function containerFault(where: string, message: string, hint?: string, cause?: unknown): HeirloomError {
  return new HeirloomError("DATA_FORMAT_INVALID", message, {
    where: printable(where),
    ...(hint === undefined ? {} : { hint }),
    ...(cause === undefined ? {} : { cause }),
  });
}

/** Opens a file, hands it on, and closes it whatever happens. */
export async function* withFile<T>(path: string, use: (file: FileSource) => AsyncIterable<T>): AsyncGenerator<T, void, undefined> {
  const file = await openFile(path);
  try {
    yield* use(file);
  } finally {
    await file.close();
  }
}
