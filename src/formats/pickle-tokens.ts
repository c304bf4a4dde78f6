import { HeirloomError } from "../core/index.ts";
import { printable } from "./printable.ts";

/*
 * A pickle is a row of opcodes, one byte each, with their arguments in place
 * (CPython, Lib/pickletools.py; PEP 307, 3154, 574).
 *
 * Limits, and why:
 */
/** 83,000 tensors as torch writes them (35 opcodes, 110 bytes each with a name); the largest seen has 10 kB. */
export const MAX_PICKLE_BYTES = 33_554_432;
/** Each may leave one value in memory: about 300 MB at worst, half a second. */
const MAX_OPCODES = 3_000_000;
/** Integers in state files are seeds and counters; the longest, of torch's generator, has 8 bytes. */
const MAX_INTEGER_BYTES = 64;
/** Protocol 5 is the newest (Python 3.8 to 3.14). */
const MAX_PROTOCOL = 5;

type Argument =
  | "none"
  | "uint1"
  | "uint2"
  | "uint4"
  | "int4"
  | "uint8"
  | "float8"
  | "text1"
  | "text4"
  | "text8"
  | "latin1"
  | "latin4"
  | "bytes1"
  | "bytes4"
  | "bytes8"
  | "long1"
  | "long4"
  | "line"
  | "lines";

/** Every opcode that is understood. Those that build objects are refused later, by what they ask for. */
export const OPCODES = {
  PROTO: [0x80, "uint1"],
  FRAME: [0x95, "uint8"],
  STOP: [0x2e, "none"],
  MARK: [0x28, "none"],
  POP: [0x30, "none"],
  POP_MARK: [0x31, "none"],
  DUP: [0x32, "none"],
  NONE: [0x4e, "none"],
  NEWTRUE: [0x88, "none"],
  NEWFALSE: [0x89, "none"],
  INT: [0x49, "line"],
  LONG: [0x4c, "line"],
  FLOAT: [0x46, "line"],
  BININT: [0x4a, "int4"],
  BININT1: [0x4b, "uint1"],
  BININT2: [0x4d, "uint2"],
  LONG1: [0x8a, "long1"],
  LONG4: [0x8b, "long4"],
  BINFLOAT: [0x47, "float8"],
  UNICODE: [0x56, "line"],
  BINUNICODE: [0x58, "text4"],
  SHORT_BINUNICODE: [0x8c, "text1"],
  BINUNICODE8: [0x8d, "text8"],
  BINSTRING: [0x54, "latin4"],
  SHORT_BINSTRING: [0x55, "latin1"],
  BINBYTES: [0x42, "bytes4"],
  SHORT_BINBYTES: [0x43, "bytes1"],
  BINBYTES8: [0x8e, "bytes8"],
  BYTEARRAY8: [0x96, "bytes8"],
  EMPTY_TUPLE: [0x29, "none"],
  TUPLE: [0x74, "none"],
  TUPLE1: [0x85, "none"],
  TUPLE2: [0x86, "none"],
  TUPLE3: [0x87, "none"],
  EMPTY_LIST: [0x5d, "none"],
  LIST: [0x6c, "none"],
  APPEND: [0x61, "none"],
  APPENDS: [0x65, "none"],
  EMPTY_DICT: [0x7d, "none"],
  DICT: [0x64, "none"],
  SETITEM: [0x73, "none"],
  SETITEMS: [0x75, "none"],
  EMPTY_SET: [0x8f, "none"],
  ADDITEMS: [0x90, "none"],
  FROZENSET: [0x91, "none"],
  GET: [0x67, "line"],
  BINGET: [0x68, "uint1"],
  LONG_BINGET: [0x6a, "uint4"],
  PUT: [0x70, "line"],
  BINPUT: [0x71, "uint1"],
  LONG_BINPUT: [0x72, "uint4"],
  MEMOIZE: [0x94, "none"],
  GLOBAL: [0x63, "lines"],
  STACK_GLOBAL: [0x93, "none"],
  REDUCE: [0x52, "none"],
  BUILD: [0x62, "none"],
  NEWOBJ: [0x81, "none"],
  NEWOBJ_EX: [0x92, "none"],
  PERSID: [0x50, "line"],
  BINPERSID: [0x51, "none"],
} as const satisfies Record<string, readonly [code: number, argument: Argument]>;

/** Name of an opcode as `pickletools` has it. */
export type Opcode = keyof typeof OPCODES;

/** One opcode with its argument; `at` is where it lies. */
export interface PickleToken {
  readonly opcode: Opcode;
  readonly argument: number | bigint | string | Uint8Array | readonly [module: string, name: string] | null;
  readonly at: number;
}

const BY_CODE: ReadonlyMap<number, readonly [Opcode, Argument]> = new Map(
  Object.entries(OPCODES).map(([name, [code, argument]]) => [code, [name as Opcode, argument]]),
);

/** Real opcodes that no state file has: registered extensions, old-style instances, buffers outside the file. */
const REFUSED: ReadonlyMap<number, string> = new Map([
  [0x69, "INST"],
  [0x6f, "OBJ"],
  [0x53, "STRING"],
  [0x82, "EXT1"],
  [0x83, "EXT2"],
  [0x84, "EXT4"],
  [0x97, "NEXT_BUFFER"],
  [0x98, "READONLY_BUFFER"],
]);

/** A fault of the pickle at a byte of it. */
export function invalidPickle(where: string, at: number, message: string): HeirloomError {
  return new HeirloomError("PICKLE_INVALID", `at byte ${at}: ${message}`, {
    where: printable(where),
    hint: "the file is damaged or was not written by torch.save: fetch or save it again",
    details: { at },
  });
}

/** Splits a pickle into its opcodes, lazily, and ends with STOP. */
class TokenReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #where: string;
  readonly #utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  #at = 0;

  constructor(bytes: Uint8Array, where: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#where = where;
  }

  *tokens(): Generator<PickleToken, void, undefined> {
    for (let count = 0; ; count++) {
      const at = this.#at;
      if (count === MAX_OPCODES) throw invalidPickle(this.#where, at, `expected at most ${MAX_OPCODES} opcodes, found more`);
      const code = this.#bytes[this.#take(1)] as number;
      const known = BY_CODE.get(code);
      if (known === undefined) throw this.#unknown(code, at);
      const [opcode, kind] = known;
      const argument = this.#argument(kind);
      if (opcode === "PROTO" && (argument as number) > MAX_PROTOCOL)
        throw invalidPickle(this.#where, at, `expected pickle protocol 0 to ${MAX_PROTOCOL}, found ${String(argument)}`);
      yield { opcode, argument, at };
      if (opcode === "STOP") return;
    }
  }

  #unknown(code: number, at: number): HeirloomError {
    const name = REFUSED.get(code);
    if (name === undefined) return invalidPickle(this.#where, at, `expected an opcode, found 0x${code.toString(16).padStart(2, "0")}`);
    return new HeirloomError("PICKLE_UNSAFE", `at byte ${at}: the pickle has the opcode ${name}, which is refused; nothing of it was run`, {
      where: printable(this.#where),
      hint: "save the tensors as safetensors",
      details: { at, opcode: name },
    });
  }

  /** Moves on by `count` bytes; returns where they start. */
  #take(count: number): number {
    const start = this.#at;
    if (count > this.#bytes.byteLength - start)
      throw invalidPickle(
        this.#where,
        start,
        `expected ${count} more bytes, found ${this.#bytes.byteLength - start}: the pickle is cut short`,
      );
    this.#at = start + count;
    return start;
  }

  #slice(length: number): Uint8Array {
    const start = this.#take(length);
    return this.#bytes.subarray(start, start + length);
  }

  #line(): string {
    const end = this.#bytes.indexOf(0x0a, this.#at);
    if (end < 0) throw invalidPickle(this.#where, this.#at, "expected a line, found none that ends");
    const text = this.#text(end - this.#at);
    this.#take(1);
    return text;
  }

  #text(length: number): string {
    const at = this.#at;
    try {
      return this.#utf8.decode(this.#slice(length));
    } catch (error) {
      if (error instanceof HeirloomError) throw error;
      throw invalidPickle(this.#where, at, "expected UTF-8 text, found bytes that are not");
    }
  }

  #integer(length: number): number | bigint {
    if (length > MAX_INTEGER_BYTES)
      throw invalidPickle(this.#where, this.#at, `expected an integer of at most ${MAX_INTEGER_BYTES} bytes, found one of ${length}`);
    let value = 0n;
    const bytes = this.#slice(length);
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i] as number);
    if (length > 0 && ((bytes[length - 1] as number) & 0x80) !== 0) value -= 1n << BigInt(8 * length);
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  }

  #length8(): number {
    const length = this.#view.getBigUint64(this.#take(8), true);
    // Beyond the file it is refused by the read that follows.
    return length > BigInt(MAX_PICKLE_BYTES) ? MAX_PICKLE_BYTES + 1 : Number(length);
  }

  #argument(kind: Argument): PickleToken["argument"] {
    switch (kind) {
      case "none":
        return null;
      case "uint1":
        return this.#view.getUint8(this.#take(1));
      case "uint2":
        return this.#view.getUint16(this.#take(2), true);
      case "uint4":
        return this.#view.getUint32(this.#take(4), true);
      case "int4":
        return this.#view.getInt32(this.#take(4), true);
      case "uint8":
        return this.#view.getBigUint64(this.#take(8), true);
      case "float8":
        return this.#view.getFloat64(this.#take(8), false);
      case "line":
        return this.#line();
      case "lines":
        return [this.#line(), this.#line()];
      case "long1":
        return this.#integer(this.#view.getUint8(this.#take(1)));
      case "long4":
        return this.#integer(this.#view.getUint32(this.#take(4), true));
      default:
        return this.#counted(kind);
    }
  }

  /** Text or bytes with their length before them. */
  #counted(
    kind: Exclude<Argument, "none" | "uint1" | "uint2" | "uint4" | "int4" | "uint8" | "float8" | "line" | "lines" | "long1" | "long4">,
  ) {
    const width = kind.slice(-1);
    const length =
      width === "1" ? this.#view.getUint8(this.#take(1)) : width === "4" ? this.#view.getUint32(this.#take(4), true) : this.#length8();
    if (kind.startsWith("text")) return this.#text(length);
    const bytes = this.#slice(length);
    // Python 2 wrote its strings without saying what they mean; torch reads them as UTF-8, where names are ASCII anyway.
    return kind.startsWith("latin") ? new TextDecoder("latin1").decode(bytes) : bytes;
  }
}

/**
 * The opcodes of a pickle, one at a time, up to and with STOP.
 *
 * @throws PICKLE_INVALID, PICKLE_UNSAFE for an opcode that builds foreign things
 */
export function pickleTokens(bytes: Uint8Array, where: string): Generator<PickleToken, void, undefined> {
  if (bytes.byteLength > MAX_PICKLE_BYTES)
    throw invalidPickle(where, 0, `expected at most ${MAX_PICKLE_BYTES} bytes of pickle, found ${bytes.byteLength}`);
  return new TokenReader(bytes, where).tokens();
}
