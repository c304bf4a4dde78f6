import { formatCount, HeirloomError } from "../../core/index.ts";
import { printable } from "../../formats/index.ts";

/** Where bytes stop being UTF-8. */
export interface Utf8Fault {
  /** From 0, as tools that show bytes count. */
  readonly byte: number;
  /** From 1. */
  readonly line: number;
  /** Null where the file ends inside a character. */
  readonly value: number | null;
}

/** Bytes that the character beginning with a byte has; 0 for a byte that begins none. */
function lengthOf(first: number): number {
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first < 0xe0) return 2;
  if (first >= 0xe0 && first < 0xf0) return 3;
  return first >= 0xf0 && first < 0xf5 ? 4 : 0;
}

/** Index of the first byte of what is no character of UTF-8, or of one that is cut off. */
function faultIn(bytes: Uint8Array): number {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  for (let at = 0; at < bytes.length; ) {
    const first = bytes[at] as number;
    const length = lengthOf(first);
    if (length === 0 || at + length > bytes.length) return at;
    if (length > 1) {
      try {
        decoder.decode(bytes.subarray(at, at + length));
      } catch {
        return at;
      }
    }
    at += length;
  }
  return bytes.length;
}

/** Keeps account of where in a text its next chunk begins. */
export class Utf8Position {
  #bytes = 0;
  #lines = 0;
  /** The beginning of a character that the next chunk goes on with. */
  #open: Uint8Array = new Uint8Array();

  /** A chunk that could be read. */
  pass(chunk: Uint8Array): void {
    this.#bytes += chunk.byteLength;
    for (let at = chunk.indexOf(0x0a); at >= 0; at = chunk.indexOf(0x0a, at + 1)) this.#lines++;
    const tail = Uint8Array.of(...this.#open, ...chunk.subarray(-3));
    // A copy: the chunk's memory may be used again.
    this.#open = tail.slice(openAt(tail));
  }

  /** Where in the chunk that could not be read the fault is. */
  ofFault(chunk: Uint8Array): Utf8Fault {
    const bytes = new Uint8Array(this.#open.byteLength + chunk.byteLength);
    bytes.set(this.#open);
    bytes.set(chunk, this.#open.byteLength);
    const at = faultIn(bytes);
    let line = this.#lines + 1;
    for (let end = bytes.indexOf(0x0a); end >= 0 && end < at; end = bytes.indexOf(0x0a, end + 1)) line++;
    const isCut = at + lengthOf(bytes[at] ?? 0) > bytes.length && bytes.subarray(at + 1).every((byte) => byte >= 0x80 && byte < 0xc0);
    return { byte: this.#bytes - this.#open.byteLength + at, line, value: isCut ? null : (bytes[at] ?? null) };
  }
}

/** Where a character begins that the end of good bytes cuts off; their length if none is. */
function openAt(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const at = bytes.length - back;
    const length = lengthOf(bytes[at] as number);
    if (length > 0) return length > back ? at : bytes.length;
  }
  return bytes.length;
}

/** A name as a shell takes it. */
const quoted = (text: string): string => (/^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** What to type to make UTF-8 of a file. */
function iconvHint(path: string, encoding = "WINDOWS-1252"): string {
  const output = path.replace(/(\.[^./]*)?$/, ".utf8$1");
  return `if it is ${encoding === "UTF-16" ? "UTF-16, as PowerShell and Excel write it" : "Latin-1 or Windows-1252, as Excel writes it"}: iconv -f ${encoding} -t UTF-8 ${printable(quoted(path), 300)} > ${printable(quoted(output), 300)}`;
}

/** The error of a file that is no UTF-8. */
export function notUtf8({ byte, line, value }: Utf8Fault, where: string, cause: unknown): HeirloomError {
  const isUtf16 = byte === 0 && (value === 0xff || value === 0xfe);
  const found =
    value === null ? "the file ends inside a character" : `found the byte 0x${value.toString(16).toUpperCase().padStart(2, "0")}`;
  return new HeirloomError(
    "DATA_FORMAT_INVALID",
    `expected UTF-8 text, ${found} at byte ${formatCount(byte)} (line ${formatCount(line)})`,
    {
      where: printable(where),
      hint: `${value === null ? "if the file was cut off, copy it again; " : ""}${iconvHint(where, isUtf16 ? "UTF-16" : "WINDOWS-1252")}`,
      details: { byte, line },
      cause,
    },
  );
}
