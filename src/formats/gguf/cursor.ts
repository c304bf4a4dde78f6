import { HeirloomError } from "../../core/index.ts";
import { printable } from "../printable.ts";

/** Thrown inside the reader where the bytes at hand end before the header does. */
export class NeedsMore extends Error {
  /** Where the header goes on at least. */
  readonly end: number;
  constructor(end: number) {
    super(`the header goes on to byte ${end} at least`);
    this.end = end;
  }
}

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
/** Strings up to here are mostly tokens; the decoder's call costs more than the loop. */
const SHORT_BYTES = 64;

/** ASCII bytes as text; undefined if there is another byte. */
function ascii(bytes: Uint8Array): string | undefined {
  for (let i = 0; i < bytes.length; i++) if ((bytes[i] as number) >= 0x80) return undefined;
  return String.fromCharCode(...bytes);
}

/** Reads little-endian values one after the other; allocates nothing from a count that the bytes at hand do not bear out. */
export class Cursor {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #name: string;
  #at = 0;

  constructor(bytes: Uint8Array, name: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#name = name;
  }

  get at(): number {
    return this.#at;
  }

  invalid(message: string, hint?: string): HeirloomError {
    return new HeirloomError("GGUF_INVALID", message, {
      where: `${printable(this.#name)}, byte ${this.#at}`,
      hint: hint ?? "fetch or convert the file again",
    });
  }

  /** @throws NeedsMore if fewer than `count` bytes are at hand */
  require(count: number): void {
    const end = this.#at + count;
    if (end > this.#bytes.byteLength) throw new NeedsMore(end);
  }

  /** Moves on by `count` bytes and gives where they begin. @throws NeedsMore if they are not at hand */
  take(count: number): number {
    this.require(count);
    const start = this.#at;
    this.#at += count;
    return start;
  }

  u32(): number {
    return this.#view.getUint32(this.take(4), true);
  }

  /** A count, length or offset. @throws GGUF_INVALID beyond `most` */
  count(what: string, most: number): number {
    const value = this.#view.getBigUint64(this.take(8), true);
    if (value > BigInt(most)) {
      this.#at -= 8;
      throw this.invalid(`expected ${what} of at most ${most}, found ${value}`);
    }
    return Number(value);
  }

  /** Length and UTF-8 bytes. */
  text(what: string, mostBytes: number): string {
    const length = this.count(`a length of ${what}`, mostBytes);
    const start = this.take(length);
    const bytes = this.#bytes.subarray(start, start + length);
    const short = length <= SHORT_BYTES ? ascii(bytes) : undefined;
    if (short !== undefined) return short;
    try {
      return UTF8.decode(bytes);
    } catch {
      throw this.invalid(`expected ${what} to be UTF-8 text, found bytes that are not`);
    }
  }

  get view(): DataView {
    return this.#view;
  }
}
