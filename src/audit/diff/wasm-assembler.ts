import { InternalError } from "../../core/index.ts";

/**
 * As much of WebAssembly with 128-bit SIMD as the comparison of floats needs, as typed expressions:
 * an instruction is a function of its operands' code, so that the compiler checks what lies on the stack.
 * Opcodes and layout: WebAssembly Core Specification 2.0, sections 5.4 and 5.5.
 */

type ValueType = "i32" | "v128";

/** Instructions that leave one value on the stack, or nothing. */
export interface Code<T extends ValueType | "nothing"> {
  readonly type: T;
  readonly bytes: readonly number[];
}

export type I32 = Code<"i32">;
export type V128 = Code<"v128">;
export type Statement = Code<"nothing">;

/** A variable of a function. */
export interface Local<T extends ValueType> {
  readonly get: Code<T>;
  set(value: Code<T>): Statement;
}

/** LEB128: seven bits a byte, the lowest first. */
function unsigned(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)];
}

function signed(value: number): number[] {
  const isLast = value >= -0x40 && value < 0x40;
  return isLast ? [value & 0x7f] : [(value & 0x7f) | 0x80, ...signed(value >> 7)];
}

type CodeOf<In extends readonly ValueType[]> = { readonly [K in keyof In]: Code<In[K]> };

/** An instruction: the code of its operands in order, then its own bytes. */
const instruction =
  <const In extends readonly ValueType[], Out extends ValueType | "nothing">(takes: In, gives: Out, bytes: readonly number[]) =>
  (...operands: CodeOf<In>): Code<Out> => {
    if (operands.length !== takes.length) throw new InternalError("an instruction got another number of operands than it takes");
    return { type: gives, bytes: [...operands.flatMap((operand) => operand.bytes), ...bytes] };
  };

const SIMD = 0xfd;
const simd = <const In extends readonly ValueType[], Out extends ValueType | "nothing">(takes: In, gives: Out, opcode: number) =>
  instruction(takes, gives, [SIMD, ...unsigned(opcode)]);
const unary = (opcode: number) => simd(["v128"], "v128", opcode);
const binary = (opcode: number) => simd(["v128", "v128"], "v128", opcode);
const shift = (opcode: number) => simd(["v128", "i32"], "v128", opcode);
const splat = (opcode: number) => simd(["i32"], "v128", opcode);

/** No alignment is promised (2⁰), and no offset is added to the address. */
const MEMORY_ARGUMENT = [0, 0];

export const i32 = {
  const: (value: number): I32 => ({ type: "i32", bytes: [0x41, ...signed(value)] }),
  add: instruction(["i32", "i32"], "i32", [0x6a]),
  lessThan: instruction(["i32", "i32"], "i32", [0x49]),
  popcnt: instruction(["i32"], "i32", [0x69]),
};

export const v128 = {
  load: instruction(["i32"], "v128", [SIMD, 0, ...MEMORY_ARGUMENT]),
  store: instruction(["i32", "v128"], "nothing", [SIMD, 11, ...MEMORY_ARGUMENT]),
  and: binary(0x4e),
  or: binary(0x50),
  /** Bits of the first where the third has ones, else of the second. */
  bitselect: simd(["v128", "v128", "v128"], "v128", 0x52),
};

/** `value` itself, for instructions that look at its lower half only. */
export const lowerHalf = (value: V128): V128 => value;

/** Both halves of the result are the upper half of `value`. */
export const upperHalf = (value: V128): V128 =>
  instruction(["v128", "v128"], "v128", [SIMD, 13, 8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15])(value, value);

export const i16x8 = {
  splat: splat(16),
  equal: binary(0x2d),
  bitmask: simd(["v128"], "i32", 0x84),
  max: binary(0x99),
};

export const i32x4 = {
  splat: splat(17),
  equal: binary(0x37),
  lessThan: binary(0x3a),
  bitmask: simd(["v128"], "i32", 0xa4),
  max: binary(0xb9),
  add: binary(0xae),
  shiftLeft: shift(0xab),
  lowerOfI16x8: unary(0xa9),
  upperOfI16x8: unary(0xaa),
};

export const f32x4 = { multiply: binary(0xe6), fromI32x4: unary(0xfb) };

export const f64x2 = {
  fromLowerF32x4: unary(0x5f),
  abs: unary(0xec),
  subtract: binary(0xf1),
  /** `a < b ? b : a`, one instruction on all processors. */
  max: binary(0xf7),
};

/** Runs the statements, and again as long as `condition` holds. */
export const repeatWhile = (statements: readonly Statement[], condition: I32): Statement => ({
  type: "nothing",
  bytes: [0x03, 0x40, ...statements.flatMap(({ bytes }) => bytes), ...condition.bytes, 0x0d, 0, 0x0b],
});

const TYPES = { i32: 0x7f, v128: 0x7b } as const;

/** A function of `parameterCount` i32 that returns an i32. Variables begin as zeros. */
export interface WasmFunction {
  readonly parameterCount: number;
  readonly bytes: readonly number[];
}

/** The variables of a function while its code is put together. */
export class Locals {
  readonly #types: ValueType[] = [];
  readonly parameterCount: number;

  constructor(parameterCount: number) {
    this.parameterCount = parameterCount;
  }

  parameter(index: number): Local<"i32"> {
    return this.#local("i32", index);
  }

  i32(): Local<"i32"> {
    return this.#local("i32", this.parameterCount + this.#types.push("i32") - 1);
  }

  v128(): Local<"v128"> {
    return this.#local("v128", this.parameterCount + this.#types.push("v128") - 1);
  }

  function(statements: readonly Statement[], result: I32): WasmFunction {
    const declared = vector(this.#types.map((type) => [1, TYPES[type]]));
    const code = [...declared, ...statements.flatMap(({ bytes }) => bytes), ...result.bytes, 0x0b];
    return { parameterCount: this.parameterCount, bytes: [...unsigned(code.length), ...code] };
  }

  #local<T extends ValueType>(type: T, index: number): Local<T> {
    const at = unsigned(index);
    return { get: { type, bytes: [0x20, ...at] }, set: (value) => ({ type: "nothing", bytes: [...value.bytes, 0x21, ...at] }) };
  }
}

const vector = (items: readonly (readonly number[])[]): number[] => [...unsigned(items.length), ...items.flat()];
const section = (id: number, items: readonly (readonly number[])[]): number[] => {
  const body = vector(items);
  return [id, ...unsigned(body.length), ...body];
};
const exported = (name: string, kind: number, index: number): number[] => [
  ...vector(Array.from(name, (letter) => [letter.charCodeAt(0)])),
  kind,
  ...unsigned(index),
];

/** A module that exports its functions by name, and a memory of `pages` × 64 KiB as `memory`. */
function moduleBytes(pages: number, functions: Readonly<Record<string, WasmFunction>>): Uint8Array<ArrayBuffer> {
  const all = Object.entries(functions);
  const types = all.map(([, { parameterCount }]) => [0x60, ...vector(Array<number[]>(parameterCount).fill([TYPES.i32])), 1, TYPES.i32]);
  const typeOfEach = all.map((_, index) => unsigned(index));
  const exports = [exported("memory", 2, 0), ...all.map(([name], index) => exported(name, 0, index))];
  const code = all.map(([, { bytes }]) => bytes);
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0], // "\0asm", version 1
    ...section(1, types),
    ...section(3, typeOfEach),
    ...section(5, [[0, ...unsigned(pages)]]),
    ...section(7, exports),
    ...section(10, code),
  ]);
}

type CompiledFunction = (...parameters: number[]) => number;

/** What is used of the global `WebAssembly`, which the types of Node 20 leave out. */
interface WebAssemblyApi {
  validate(bytes: Uint8Array): boolean;
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: unknown };
}

/** Functions that are ready to be called, and their memory. */
export interface Compiled<Name extends string> {
  readonly memory: ArrayBuffer;
  readonly functions: Readonly<Record<Name, CompiledFunction>>;
}

/** Compiles functions; null where there is no WebAssembly (`node --jitless`) or no SIMD for it. */
export function compile<Name extends string>(pages: number, functions: Readonly<Record<Name, WasmFunction>>): Compiled<Name> | null {
  const api = (globalThis as { readonly WebAssembly?: WebAssemblyApi }).WebAssembly;
  const bytes = moduleBytes(pages, functions);
  if (api?.validate(bytes) !== true) return null;
  // The module has exactly these exports: see moduleBytes.
  const exports = new api.Instance(new api.Module(bytes)).exports as Record<Name, CompiledFunction> & {
    readonly memory: { buffer: ArrayBuffer };
  };
  return { memory: exports.memory.buffer, functions: exports };
}
