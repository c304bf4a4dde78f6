import { formatCount, HeirloomError, isHeirloomError, listNames, type Problem } from "../../core/index.ts";
import { expandDataPath } from "../data-files.ts";
import type { EncoderSetup } from "../encoder.ts";
import { templateOf } from "../encoder.ts";
import { countLabels, type EncodedRow, NO_LABEL, type RowEncoder, rowEncoder } from "../example.ts";
import { FileReading, type FileReport, type ReadingOptions } from "../read-records.ts";
import type { DataRecord } from "../record.ts";
import type { Tokenizer } from "../tokenizer.ts";

/** A stretch of a row that is trained, or not. */
export interface ShownPiece {
  readonly text: string;
  readonly trained: boolean;
}

/** One record of a row. */
export interface ShownRecord {
  /** Null without a tokenizer. */
  readonly tokens: number | null;
  readonly labelTokens: number | null;
  /** What the model sees, in stretches; without a tokenizer the texts of the row. */
  readonly pieces: readonly ShownPiece[];
}

/** A row, or what is wrong with it. */
export type ShownRow =
  | { readonly row: number; readonly records: readonly ShownRecord[] }
  | { readonly row: number | null; readonly problems: readonly Problem[] };

/** A file with its first rows. */
export interface ShownFile {
  /** Its `rows` are those that were looked at. */
  readonly report: FileReport;
  readonly rows: readonly ShownRow[];
}

/** What `data show` gives back. */
export interface ShownData {
  /** Null if none was named. */
  readonly tokenizer: string | null;
  readonly files: readonly ShownFile[];
}

/** Which rows are shown. */
export interface ShowOptions {
  readonly reading: ReadingOptions;
  /** Rows of each file. */
  readonly rows: number;
  /** The first row, from 1. */
  readonly from: number;
}

/** Files that a message names. */
const MAX_NAMED_FILES = 5;

function piecesOf({ inputIds, labels }: EncodedRow, tokenizer: Tokenizer): ShownPiece[] {
  const pieces: ShownPiece[] = [];
  for (let start = 0, end = 0; start < inputIds.length; start = end) {
    const trained = labels[start] !== NO_LABEL;
    while (end < inputIds.length && (labels[end] !== NO_LABEL) === trained) end++;
    pieces.push({ text: tokenizer.decode(inputIds.subarray(start, end)), trained });
  }
  return pieces;
}

/** A row as it stands, for those who have no tokenizer at hand; assistants' turns count as trained. */
function plainPieces(record: DataRecord): ShownPiece[] {
  if (record.kind === "text") return [{ text: record.text, trained: true }];
  if (record.kind === "completion")
    return [
      { text: record.prompt, trained: false },
      { text: record.completion, trained: true },
    ];
  return record.turns.flatMap(({ message, weight }) => {
    const calls = message["tool_calls"] === undefined ? "" : JSON.stringify(message["tool_calls"]);
    const trained = weight === null ? message.role === "assistant" : weight === 1;
    return [
      { text: `[${message.role}] `, trained: false },
      { text: `${message.content}${calls}`, trained },
      { text: "\n", trained: false },
    ];
  });
}

function shown(record: DataRecord, where: string, encode: RowEncoder | null, tokenizer: Tokenizer | null): ShownRecord {
  if (encode === null || tokenizer === null) return { tokens: null, labelTokens: null, pieces: plainPieces(record) };
  const encoded = encode(record, where);
  return { tokens: encoded.inputIds.length, labelTokens: countLabels(encoded.labels), pieces: piecesOf(encoded, tokenizer) };
}

async function showFile(path: string, options: ShowOptions, encode: RowEncoder | null, tokenizer: Tokenizer | null): Promise<ShownFile> {
  const reading = new FileReading(path, options.reading);
  const rows: ShownRow[] = [];
  for await (const read of reading.rows()) {
    if (read.row !== null && read.row < options.from) continue;
    if ("problems" in read) rows.push(read);
    else
      try {
        rows.push({ row: read.row, records: read.records.map((record) => shown(record, `${path}:${read.row}`, encode, tokenizer)) });
      } catch (error) {
        if (!isHeirloomError(error)) throw error;
        rows.push({ row: read.row, problems: error.problems });
      }
    if (rows.length >= options.rows) break;
  }
  return { report: reading.report, rows };
}

/** Nothing to show because every file ends before the first row that was asked for. @throws USAGE */
function refusePast(files: readonly ShownFile[], from: number): void {
  const found = files.map(({ report: { path, rows } }) => `${path} has ${formatCount(rows)} row${rows === 1 ? "" : "s"}`);
  const most = files.reduce((longest, { report }) => Math.max(longest, report.rows), 0);
  if (most === 0) return;
  throw new HeirloomError("USAGE", `expected a row that is there, found --from ${from}: ${listNames(found, MAX_NAMED_FILES)}`, {
    hint: `the last row is --from ${most}`,
  });
}

/**
 * The first rows of files as a model will see them, with what is trained.
 *
 * @param setup null: no tokenizer; rows are then shown as they stand
 * @throws what is wrong with the rows, if none could be shown; FILE_MISSING
 */
export async function showRows(
  paths: readonly string[],
  options: ShowOptions,
  tokenizer: Tokenizer | null,
  setup: EncoderSetup | null,
): Promise<ShownData> {
  const encode = tokenizer === null || setup === null ? null : rowEncoder(tokenizer, templateOf(setup, tokenizer), setup.options);
  const files: ShownFile[] = [];
  for (const path of paths)
    for (const file of (await expandDataPath(path)).files) files.push(await showFile(file, options, encode, tokenizer));
  const rows = files.flatMap((file) => file.rows);
  if (rows.length === 0) refusePast(files, options.from);
  const [first, ...rest] = rows.flatMap((row) => ("problems" in row ? row.problems : []));
  if (first !== undefined && rows.every((row) => "problems" in row)) throw HeirloomError.of([first, ...rest]);
  return { tokenizer: tokenizer?.name ?? null, files };
}
