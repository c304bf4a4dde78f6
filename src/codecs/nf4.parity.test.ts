import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { memorySource } from "../core/index.ts";
import { openSafetensors, restoreAbsmax, type TensorFile } from "../formats/index.ts";
import {
  decodeToF32,
  dequantizeNf4,
  dequantizeNf4Blocks,
  encodeFromF32,
  type FloatDtype,
  type Nf4Tensor,
  quantizeNf4,
  quantizeScales,
} from "./index.ts";

const FOLDER = join(import.meta.dirname, "../../vectors/nf4");

interface Case {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: "float32" | "bfloat16";
  readonly degenerate: boolean;
}

const index = JSON.parse(readFileSync(join(FOLDER, "index.json"), "utf8")) as { cases: Case[] };

const openCase = (name: string): Promise<TensorFile> =>
  openSafetensors(memorySource(readFileSync(join(FOLDER, `${name}.safetensors`)), name));

/** Compared as bytes: exact, also for −0 and NaN, and quick. */
function expectSameBytes(actual: Float32Array | Uint8Array, expected: Float32Array | Uint8Array): void {
  const bytes = (array: Float32Array | Uint8Array): Buffer => Buffer.from(array.buffer, array.byteOffset, array.byteLength);
  const different = bytes(actual).equals(bytes(expected)) ? -1 : actual.findIndex((value, i) => !Object.is(value, expected[i]));
  expect({ length: actual.length, different, value: actual[different] }).toEqual({
    length: expected.length,
    different: -1,
    value: undefined,
  });
}

async function floats(file: TensorFile, name: string): Promise<Float32Array> {
  return decodeToF32(file.tensors.get(name)?.dtype ?? "U8", await file.read(name));
}

/** What bitsandbytes gives back: fp32, rounded to the input's dtype. */
function dequantized(tensor: Nf4Tensor, dtype: FloatDtype): Uint8Array {
  const out = new Float32Array(tensor.shape.reduce((product, size) => product * size, 1));
  dequantizeNf4(tensor, out);
  return encodeFromF32(dtype, out);
}

describe.each(index.cases.filter((one) => !one.degenerate))("NF4 as bitsandbytes has it: $name", ({ name, shape, dtype }) => {
  const stored: FloatDtype = dtype === "bfloat16" ? "BF16" : "F32";

  it("gives the same codes, scales and dequantized values, bit for bit", async () => {
    const file = await openCase(name);
    const tensor = quantizeNf4(await floats(file, "input"), { shape });
    expectSameBytes(tensor.packed, await file.read("packed"));
    expectSameBytes(tensor.absmax, await floats(file, "absmax"));
    expectSameBytes(dequantized(tensor, stored), await file.read("dequant"));
  });

  it("restores double-quantized scales and values bit for bit from the stored codes", async () => {
    const file = await openCase(name);
    const nested = {
      absmax: await file.read("dq.absmax"),
      nestedAbsmax: await floats(file, "dq.nested_absmax"),
      quantMap: await floats(file, "dq.nested_quant_map"),
      offset: (await floats(file, "dq.offset"))[0] as number,
      blockSize: 256,
    };
    const absmax = restoreAbsmax(nested);
    expectSameBytes(absmax, await floats(file, "dq.absmax_restored"));
    const tensor: Nf4Tensor = { packed: await file.read("dq.packed"), absmax, shape, blockSize: 64 };
    expectSameBytes(dequantized(tensor, stored), await file.read("dq.dequant"));
  });

  it("quantizes the scales to the same codes of the same 256 values", async () => {
    const file = await openCase(name);
    const offset = (await floats(file, "dq.offset"))[0] as number;
    const { nested } = quantizeScales(await floats(file, "absmax"), offset);
    expectSameBytes(nested.quantMap, await floats(file, "dq.nested_quant_map"));
    expectSameBytes(nested.nestedAbsmax, await floats(file, "dq.nested_absmax"));
    const codes = await file.read("dq.absmax");
    expectSameBytes(nested.absmax, codes);
  });

  it("finds the mean of the scales within 1 ulp", async () => {
    const file = await openCase(name);
    const offset = (await floats(file, "dq.offset"))[0] as number;
    const { nested } = quantizeNf4(await floats(file, "input"), { shape, doubleQuant: true });
    // The order of summation is torch's own; 2^-23 is one ulp of fp32 at most.
    expect(Math.abs((nested?.offset ?? 0) - offset)).toBeLessThanOrEqual(Math.abs(offset) * 2 ** -23);
  });

  it("dequantizes any range of blocks as the whole", async () => {
    const file = await openCase(name);
    const tensor: Nf4Tensor = { packed: await file.read("packed"), absmax: await floats(file, "absmax"), shape, blockSize: 64 };
    const whole = new Float32Array(shape.reduce((product, size) => product * size, 1));
    dequantizeNf4(tensor, whole);
    const first = Math.floor(tensor.absmax.length / 3);
    const out = new Float32Array(64 * tensor.absmax.length);
    const count = dequantizeNf4Blocks(tensor, first, 7, out);
    expectSameBytes(out.subarray(0, count), whole.subarray(64 * first, Math.min(64 * (first + 7), whole.length)));
  });
});

describe("NF4 at the edge of fp32", () => {
  it.each(index.cases.filter((one) => one.degenerate))("gives no NaN for $name", async ({ name, shape }) => {
    const file = await openCase(name);
    const tensor = quantizeNf4(await floats(file, "input"), { shape, doubleQuant: true });
    const out = new Float32Array(shape.reduce((product, size) => product * size, 1));
    dequantizeNf4(tensor, out);
    expect(out.every(Number.isFinite)).toBe(true);
  });
});
