import { type ByteSource, HeirloomError, isHeirloomError, type Problem } from "../core/index.ts";
import { parseJson } from "./json.ts";
import { printable } from "./printable.ts";

/** Longest row. Real rows with whole books in them stay under 10 MB. */
const MAX_ROW_BYTES = 64 * 1024 * 1024;
/** How many faulty rows are looked for before reading stops. */
const MAX_FAULTY_ROWS = 20;
/** Read at a time from a {@link ByteSource}. */
const CHUNK_BYTES = 1024 * 1024;

/** A parsed line of a JSON Lines file. */
export interface JsonlRow {
  /** Line number in the file, from 1; blank lines count but give no row. */
  readonly row: number;
  readonly value: unknown;
}

type Chunks = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

async function* chunksOf(source: ByteSource): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < source.size; at += CHUNK_BYTES) yield await source.read(at, Math.min(source.size, at + CHUNK_BYTES));
}

function tooLong(row: number, where: string): HeirloomError {
  return new HeirloomError("JSONL_INVALID", `row ${row}: expected at most ${MAX_ROW_BYTES} bytes in a row, found more`, {
    where: printable(where),
    hint: "check that the file is JSON Lines: one JSON object per line",
  });
}

/** Splits bytes at line feeds; UTF-8 has no other use for that byte. */
async function* linesOf(chunks: Chunks, where: string): AsyncGenerator<{ row: number; bytes: Uint8Array }, void, undefined> {
  let row = 1;
  let pending: Uint8Array[] = [];
  let pendingBytes = 0;
  const take = (last: Uint8Array): Uint8Array => {
    if (pendingBytes === 0) return last;
    const line = new Uint8Array(pendingBytes + last.byteLength);
    let at = 0;
    for (const piece of [...pending, last]) {
      line.set(piece, at);
      at += piece.byteLength;
    }
    pending = [];
    pendingBytes = 0;
    return line;
  };
  for await (const chunk of chunks) {
    let from = 0;
    for (let end = chunk.indexOf(0x0a); end !== -1; end = chunk.indexOf(0x0a, from)) {
      if (pendingBytes + end - from > MAX_ROW_BYTES) throw tooLong(row, where);
      yield { row, bytes: take(chunk.subarray(from, end)) };
      row++;
      from = end + 1;
    }
    if (from === chunk.byteLength) continue;
    // A copy, since a source may reuse its buffer; not `slice`, which on a Node Buffer is a view.
    pending.push(new Uint8Array(chunk.subarray(from)));
    pendingBytes += chunk.byteLength - from;
    if (pendingBytes > MAX_ROW_BYTES) throw tooLong(row, where);
  }
  if (pendingBytes > 0) yield { row, bytes: take(new Uint8Array(0)) };
}

/** Parses one line; a fault comes back as text without the place. */
function parseRow(bytes: Uint8Array, where: string): { value: unknown } | { fault: string } | undefined {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return { fault: "expected UTF-8 text, found bytes that are not" };
  }
  if (text.trim() === "") return undefined;
  try {
    return { value: parseJson(text, where) };
  } catch (error) {
    if (!isHeirloomError(error) || error.code !== "JSON_INVALID") throw error;
    // Every row is its own line 1.
    return { fault: error.problems[0].message.replace(/^line 1, /, "") };
  }
}

function faultyRows(problems: readonly Problem[], stopped: boolean): HeirloomError {
  const [first, ...rest] = problems as [Problem, ...Problem[]];
  const count = problems.length;
  const summary = `${stopped ? "at least " : ""}${count} faulty ${count === 1 ? "row" : "rows"}${stopped ? "; reading stopped there" : ""}`;
  return HeirloomError.of([
    { ...first, hint: `${summary}; each line must be one JSON value`, details: { faultyRows: count, stopped } },
    ...rest,
  ]);
}

/**
 * Reads JSON Lines row by row. Faulty rows are passed over, collected, and
 * thrown once when the file ends or after 20 of them.
 *
 * @param source a byte source, or chunks in order
 * @param where the file, for messages
 * @throws HeirloomError `JSONL_INVALID` with the row numbers, `LFS_POINTER`
 */
export async function* readJsonl(source: ByteSource | Chunks, where: string): AsyncGenerator<JsonlRow, void, undefined> {
  const chunks = "read" in source ? chunksOf(source) : source;
  const problems: Problem[] = [];
  for await (const { row, bytes } of linesOf(chunks, where)) {
    const parsed = parseRow(bytes, where);
    if (parsed === undefined) continue;
    if ("value" in parsed) {
      yield { row, value: parsed.value };
      continue;
    }
    problems.push({ code: "JSONL_INVALID", message: `row ${row}: ${parsed.fault}`, where: printable(where) });
    if (problems.length >= MAX_FAULTY_ROWS) throw faultyRows(problems, true);
  }
  if (problems.length > 0) throw faultyRows(problems, false);
}
