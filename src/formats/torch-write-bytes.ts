import { HeirloomError, InternalError } from "../core/index.ts";
import { OPCODES, type Opcode } from "./pickle-tokens.ts";
import { printable } from "./printable.ts";

/** Bytes that a pickle has at first; one tensor of an optimizer makes 70. */
const FIRST_BYTES = 16_384;

/** The bytes of a pickle in the making: opcodes and their arguments. */
export class PickleBytes {
  #bytes = new Uint8Array(FIRST_BYTES);
  #view = new DataView(this.#bytes.buffer);
  #size = 0;

  /** What was written. */
  done(): Uint8Array {
    return this.#bytes.subarray(0, this.#size);
  }

  #reserve(count: number): number {
    const at = this.#size;
    this.#size += count;
    if (this.#size > this.#bytes.byteLength) {
      const larger = new Uint8Array(Math.max(this.#size, 2 * this.#bytes.byteLength));
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }

  op(opcode: Opcode): void {
    const at = this.#reserve(1);
    this.#bytes[at] = OPCODES[opcode][0];
  }

  u8(value: number): void {
    const at = this.#reserve(1);
    this.#view.setUint8(at, value);
  }

  u16(value: number): void {
    const at = this.#reserve(2);
    this.#view.setUint16(at, value, true);
  }

  u32(value: number): void {
    const at = this.#reserve(4);
    this.#view.setUint32(at, value, true);
  }

  raw(bytes: Uint8Array): void {
    const at = this.#reserve(bytes.byteLength);
    this.#bytes.set(bytes, at);
  }

  float(value: number): void {
    this.op("BINFLOAT");
    const at = this.#reserve(8);
    this.#view.setFloat64(at, value, false);
  }

  text(value: string): void {
    if (/\p{Cs}/u.test(value)) throw new HeirloomError("TORCH_FILE_INVALID", `the text ${printable(value)} is not valid Unicode`);
    const bytes = new TextEncoder().encode(value);
    this.op("BINUNICODE");
    this.u32(bytes.byteLength);
    this.raw(bytes);
  }

  /** The shortest opcode that protocol 2 has for a whole number. */
  integer(value: number | bigint): void {
    if (typeof value === "number" && !Number.isSafeInteger(value))
      throw new InternalError(`${value} is no whole number; mark Python floats with pyFloat()`);
    const small = Number(value);
    if (small < -0x80000000 || small > 0x7fffffff) {
      this.#long(BigInt(value));
    } else if (small >= 0 && small <= 0xff) {
      this.op("BININT1");
      this.u8(small);
    } else if (small >= 0 && small <= 0xffff) {
      this.op("BININT2");
      this.u16(small);
    } else {
      this.op("BININT");
      this.u32(small >>> 0);
    }
  }

  /** Two's complement, as few bytes as keep the sign. */
  #long(value: bigint): void {
    const bytes: number[] = [];
    for (let rest = value, isLast = false; !isLast; rest >>= 8n) {
      const byte = Number(rest & 0xffn);
      bytes.push(byte);
      isLast = rest >> 8n === (byte >= 0x80 ? -1n : 0n);
    }
    if (bytes.length > 0xff) throw new InternalError(`an integer of ${bytes.length} bytes cannot be saved`);
    this.op("LONG1");
    this.u8(bytes.length);
    this.raw(Uint8Array.from(bytes));
  }

  /** An opcode with the number of a memo entry, in one byte or four. */
  memo(opcode: "BINPUT" | "BINGET", key: number): void {
    this.op(key <= 0xff ? opcode : `LONG_${opcode}`);
    if (key <= 0xff) this.u8(key);
    else this.u32(key);
  }
}
