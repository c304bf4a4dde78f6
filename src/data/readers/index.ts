// readers: files as rows; one file per container, and one line in READERS. Rows come one by one, so a file may be larger than
// memory. Must not know what the fields of a row mean.
import { extname } from "node:path";
import { HeirloomError, nearestName } from "../../core/index.ts";
import type { FileSource } from "../../core/node/index.ts";
import { describeValue, printable } from "../../formats/index.ts";
import { csv } from "./csv.ts";
import { json } from "./json.ts";
import { jsonl } from "./jsonl.ts";
import { parquet } from "./parquet.ts";
import { type Container, type Reader, type SourceRow, type TextRows, withFile } from "./reader.ts";
import { text } from "./text.ts";

export type { Container, SourceRow, TextRows } from "./reader.ts";

const READERS: Readonly<Record<Container, Reader>> = { jsonl, json, csv, parquet, text };
const EXTENSIONS = Object.values(READERS).flatMap(({ extensions }) => extensions);

/** Whether a file's name says that it is data: which files of a folder are taken. */
export function isDataFile(path: string): boolean {
  return EXTENSIONS.includes(extname(path).toLowerCase());
}

/** What a file is read as, and why. */
export interface DetectedContainer {
  readonly container: Container;
  readonly evidence: string;
}

/** Looked at to tell a container; enough for the first line of nearly every JSON Lines file. */
const HEAD_BYTES = 65_536;
const COMPRESSED: readonly (readonly [string, readonly number[]])[] = [
  ["gzip", [0x1f, 0x8b]],
  ["Zstandard", [0x28, 0xb5, 0x2f, 0xfd]],
  ["ZIP", [0x50, 0x4b, 0x03, 0x04]],
];

const startsWith = (bytes: Uint8Array, magic: readonly number[]): boolean => magic.every((byte, i) => bytes[i] === byte);

/** Whether the first line is a JSON object by itself and another one follows. */
function isJsonLines(head: string): boolean {
  const [first = "", ...rest] = head.split("\n");
  if (!rest.some((line) => line.trim() !== "")) return false;
  try {
    JSON.parse(first);
    return true;
  } catch {
    return false;
  }
}

function jsonContainer(head: string, extension: string): DetectedContainer | null {
  const start = head.trimStart();
  if (start.startsWith("[")) {
    const { container } = json;
    if (extension === ".json") return { container, evidence: "a JSON list" };
    // A line of its own that is a list is a faulty row, not a list of rows.
    return isJsonLines(start) ? null : { container, evidence: `a JSON list, though the name ends in ${extension || "nothing"}` };
  }
  if (!start.startsWith("{")) return null;
  if (extension !== ".json") return { container: "jsonl", evidence: "JSON objects" };
  return isJsonLines(start)
    ? { container: "jsonl", evidence: "one JSON object per line, though the name ends in .json" }
    : { container: "json", evidence: "one JSON object" };
}

/** Tells what a file is, by its name and its first bytes. @throws DATA_FORMAT_INVALID if it is nothing that is read */
async function detectContainer(file: FileSource, where: string): Promise<DetectedContainer> {
  const extension = extname(where).toLowerCase();
  const bytes = await file.read(0, Math.min(file.size, HEAD_BYTES));
  const named = Object.values(READERS).find(({ extensions }) => extensions.includes(extension))?.container;
  const refuse = (message: string, hint: string): never => {
    throw new HeirloomError("DATA_FORMAT_INVALID", message, { where: printable(where), hint });
  };
  const compressed = COMPRESSED.find(([, magic]) => startsWith(bytes, magic));
  if (compressed !== undefined) return refuse(`expected data, found a ${compressed[0]} file`, "decompress it first");
  if (startsWith(bytes, [0x50, 0x41, 0x52, 0x31])) return { container: "parquet", evidence: "begins with PAR1" };
  if (named === "parquet" || named === "csv" || named === "text") return { container: named, evidence: `the name ends in ${extension}` };
  const head = new TextDecoder().decode(bytes);
  const found = jsonContainer(head, extension);
  if (found !== null) return found;
  if (named !== undefined) return { container: named, evidence: `the name ends in ${extension}` };
  const nearest = nearestName(extension, EXTENSIONS);
  return refuse(
    `expected JSON Lines, JSON, CSV, Parquet or text, found ${extension === "" ? "a file without an ending" : `a ${describeValue(extension)} file`} that begins with ${describeValue(head.slice(0, 12))}`,
    nearest === undefined ? `known endings: ${EXTENSIONS.join(", ")}` : `did you mean ${nearest}?`,
  );
}

/** Reads a file row by row. `onContainer` hears what it is before the first row comes. */
export function readRows(
  path: string,
  textRows: TextRows,
  onContainer: (found: DetectedContainer) => void,
): AsyncGenerator<SourceRow, void, undefined> {
  return withFile(path, async function* (file) {
    const found = await detectContainer(file, path);
    onContainer(found);
    yield* READERS[found.container].rows(file, { where: path, extension: extname(path).toLowerCase(), textRows });
  });
}
