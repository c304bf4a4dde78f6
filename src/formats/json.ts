import { type ByteSource, HeirloomError } from "../core/index.ts";
import { parseNatively } from "./json-native.ts";
import { refuseLfsPointer } from "./lfs-pointer.ts";
import { printable } from "./printable.ts";

/**
 * Deepest nesting read. Real Hugging Face files nest at most 12 levels
 * (tokenizer.json); beyond this, code that walks a value could exhaust the stack.
 */
const MAX_DEPTH = 100;

/** Largest JSON file read whole, within 300 MB of memory; the largest real ones are tokenizers of 35 MB and long Trainer logs. */
const MAX_JSON_BYTES = 64 * 1024 * 1024;

/** What is accepted beyond the letter of JSON, and how much of it. */
export interface ParseJsonOptions {
  /** What a key that appears twice in one object does. @defaultValue "last", the last one counts, as in Python */
  readonly duplicateKeys?: "last" | "refuse";
  /** Whether bare `NaN`, `Infinity` and `-Infinity` are numbers, as Python writes them. @defaultValue true */
  readonly nonFinite?: boolean;
  /** Most values read, so that a hostile file cannot fill the memory. @defaultValue 4,000,000 */
  readonly maxValues?: number;
  /** Most keys of one object. @defaultValue 1,000,000 */
  readonly maxKeys?: number;
}

/** Default of `maxValues`; the largest tokenizers hold about 2 million. */
const MAX_VALUES = 4_000_000;
/** Most keys of one object; the largest vocabularies have 260,000, and an index of shards 500,000. */
const MAX_KEYS = 1_000_000;

/** From here on the engine's own parser is tried first. */
const LARGE = 65_536;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const ESCAPES: Readonly<Record<string, string>> = { '"': '"', "\\": "\\", "/": "/", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t" };
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
/** Any whole number of so many digits is exact in a double. */
const SAFE_DIGITS = 15;
const isDigit = (code: number): boolean => code >= 0x30 && code <= 0x39;
const WORDS: readonly (readonly [string, unknown, boolean])[] = [
  ["true", true, false],
  ["false", false, false],
  ["null", null, false],
  ["NaN", Number.NaN, true],
  ["Infinity", Number.POSITIVE_INFINITY, true],
  ["-Infinity", Number.NEGATIVE_INFINITY, true],
];

/**
 * A JSON reader of our own, because `JSON.parse` swallows duplicate keys,
 * refuses Python's NaN, recurses without a limit that we set, and echoes the
 * input raw in its messages.
 */
class JsonReader {
  readonly #text: string;
  readonly #where: string;
  readonly #refuseDuplicates: boolean;
  readonly #nonFinite: boolean;
  readonly #maxKeys: number;
  #valuesLeft: number;
  #at = 0;
  #depth = 0;

  constructor(text: string, where: string, options: ParseJsonOptions) {
    this.#text = text;
    this.#where = where;
    this.#refuseDuplicates = options.duplicateKeys === "refuse";
    this.#nonFinite = options.nonFinite ?? true;
    this.#maxKeys = options.maxKeys ?? MAX_KEYS;
    this.#valuesLeft = options.maxValues ?? MAX_VALUES;
  }

  document(): unknown {
    this.#skipSpace();
    const value = this.#value();
    this.#skipSpace();
    if (this.#at < this.#text.length) this.#fail("the end of the file");
    return value;
  }

  #fail(expected: string, at = this.#at): never {
    const before = this.#text.slice(0, at);
    const line = before.split("\n").length;
    const column = at - before.lastIndexOf("\n");
    const found = at < this.#text.length ? `"${printable(this.#text.slice(at, at + 12))}"` : "the end of the file";
    throw new HeirloomError("JSON_INVALID", `line ${line}, column ${column}: expected ${expected}, found ${found}`, {
      where: printable(this.#where),
      hint: "mend the file at that place, or download it again if it was cut short",
      details: { line, column },
    });
  }

  #skipSpace(): void {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
      this.#at++;
    }
  }

  #value(): unknown {
    if (this.#valuesLeft-- === 0) this.#fail("fewer values in one file");
    const code = this.#text.charCodeAt(this.#at);
    if (code === QUOTE) return this.#string();
    if (code === 0x7b || code === 0x5b) {
      if (this.#depth >= MAX_DEPTH) this.#fail(`at most ${MAX_DEPTH} levels of nesting`);
      this.#depth++;
      const value = code === 0x7b ? this.#object() : this.#array();
      this.#depth--;
      return value;
    }
    if (code === 0x2d || isDigit(code)) {
      const number = this.#number();
      if (number !== undefined) return number;
    }
    for (const [word, value, nonFinite] of WORDS) {
      if ((!nonFinite || this.#nonFinite) && this.#text.startsWith(word, this.#at)) {
        this.#at += word.length;
        return value;
      }
    }
    return this.#fail("a JSON value");
  }

  /** Headers are mostly small whole numbers, which need no pattern. */
  #number(): number | undefined {
    const text = this.#text;
    let at = this.#at;
    let value = 0;
    let code = text.charCodeAt(at);
    for (; isDigit(code) && at - this.#at < SAFE_DIGITS; code = text.charCodeAt(++at)) value = value * 10 + code - 0x30;
    const isWhole = at > this.#at && code !== 0x2e && (code | 0x20) !== 0x65 && !isDigit(code);
    if (isWhole && (at === this.#at + 1 || text.charCodeAt(this.#at) !== 0x30)) {
      this.#at = at;
      return value;
    }
    NUMBER.lastIndex = this.#at;
    const digits = NUMBER.exec(text)?.[0];
    if (digits === undefined) return undefined;
    this.#at += digits.length;
    return Number(digits);
  }

  #object(): Record<string, unknown> {
    const object: Record<string, unknown> = {};
    let keysLeft = this.#maxKeys;
    this.#at++;
    this.#skipSpace();
    if (this.#take(0x7d)) return object;
    for (;;) {
      const keyAt = this.#at;
      if (keysLeft-- === 0) this.#fail(`at most ${this.#maxKeys} keys in one object`);
      if (this.#text.charCodeAt(keyAt) !== QUOTE) this.#fail("a key in double quotes");
      const key = this.#string();
      if (this.#refuseDuplicates && Object.hasOwn(object, key)) this.#fail("each key once", keyAt);
      this.#skipSpace();
      if (!this.#take(0x3a)) this.#fail('":" after a key');
      this.#skipSpace();
      const value = this.#value();
      // Assigning to `__proto__` would set the prototype instead of a key.
      if (key === "__proto__") Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
      else object[key] = value;
      this.#skipSpace();
      if (this.#take(0x7d)) return object;
      if (!this.#take(0x2c)) this.#fail('"," or "}"');
      this.#skipSpace();
    }
  }

  #array(): unknown[] {
    const array: unknown[] = [];
    this.#at++;
    this.#skipSpace();
    if (this.#take(0x5d)) return array;
    for (;;) {
      array.push(this.#value());
      this.#skipSpace();
      if (this.#take(0x5d)) return array;
      if (!this.#take(0x2c)) this.#fail('"," or "]"');
      this.#skipSpace();
    }
  }

  #take(code: number): boolean {
    if (this.#text.charCodeAt(this.#at) !== code) return false;
    this.#at++;
    return true;
  }

  #string(): string {
    const text = this.#text;
    let from = ++this.#at;
    let value = "";
    for (;;) {
      const code = text.charCodeAt(this.#at);
      if (code === QUOTE) {
        const rest = text.slice(from, this.#at++);
        return value === "" ? rest : value + rest;
      }
      if (Number.isNaN(code)) this.#fail("a closing quote");
      if (code < 0x20) this.#fail("control characters in strings to be escaped");
      if (code === BACKSLASH) {
        value += text.slice(from, this.#at) + this.#escape();
        from = this.#at;
      } else {
        this.#at++;
      }
    }
  }

  #escape(): string {
    const letter = this.#text.charAt(this.#at + 1);
    const simple = ESCAPES[letter];
    if (simple !== undefined) {
      this.#at += 2;
      return simple;
    }
    const digits = this.#text.slice(this.#at + 2, this.#at + 6);
    if (letter !== "u" || !/^[0-9a-fA-F]{4}$/.test(digits)) this.#fail("a known escape after the backslash");
    this.#at += 6;
    return String.fromCharCode(Number.parseInt(digits, 16));
  }
}

/**
 * Parses JSON as Hugging Face tools write it: bare `NaN` and `Infinity` are
 * numbers, a Git LFS pointer is recognized.
 *
 * @param where file (or file and row) for messages
 * @throws HeirloomError `JSON_INVALID` with line and column, `LFS_POINTER`
 */
export function parseJson(text: string, where: string, options: ParseJsonOptions = {}): unknown {
  refuseLfsPointer(text, where);
  if (/^\s*<(?:!doctype|html)/i.test(text.slice(0, 200))) {
    throw new HeirloomError("JSON_INVALID", "line 1, column 1: expected JSON, found a web page", {
      where: printable(where),
      hint: "the download failed: fetch the file again; a private or gated repository needs a login",
      details: { line: 1, column: 1 },
    });
  }
  if (text.length >= LARGE) {
    const limits = { maxDepth: MAX_DEPTH, maxValues: options.maxValues ?? MAX_VALUES, maxKeys: options.maxKeys ?? MAX_KEYS };
    const parsed = parseNatively(text, { ...limits, refusesDuplicates: options.duplicateKeys === "refuse" });
    if (parsed !== null) return parsed.value;
  }
  return new JsonReader(text, where, options).document();
}

/** Bytes as UTF-8 text without a byte order mark; throws `JSON_INVALID` where they are not UTF-8. */
export function decodeUtf8(bytes: Uint8Array, where: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    const isUtf16 = (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff);
    throw new HeirloomError(
      "JSON_INVALID",
      `expected UTF-8 text, found ${isUtf16 ? "UTF-16, as PowerShell writes it" : "bytes that are not"}`,
      {
        where: printable(where),
        hint: "save the file as UTF-8, or check that it is the text file that it should be",
        cause,
      },
    );
  }
}

/** The text of a JSON file, not parsed yet. Throws `JSON_INVALID` beyond `maxBytes`. */
export async function readJsonText(source: ByteSource, maxBytes = MAX_JSON_BYTES): Promise<string> {
  if (source.size > maxBytes) {
    throw new HeirloomError("JSON_INVALID", `expected at most ${maxBytes} bytes of JSON, found ${source.size}`, {
      where: printable(source.name),
    });
  }
  return decodeUtf8(await source.read(0, source.size), source.name);
}

/** Reads a JSON file whole; see {@link parseJson}. Throws `JSON_INVALID` beyond `maxBytes`. */
export async function readJson(source: ByteSource, options: ParseJsonOptions & { readonly maxBytes?: number } = {}): Promise<unknown> {
  return parseJson(await readJsonText(source, options.maxBytes), source.name, options);
}
