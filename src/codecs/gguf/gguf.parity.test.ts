import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { memorySource } from "../../core/index.ts";
import { GGML_TYPES, openSafetensors, type TensorFile } from "../../formats/index.ts";
import { decodeToF32 } from "../index.ts";
import { dequantizeGguf, quantizeQ8_0, READABLE_GGML_TYPES } from "./index.ts";

const FOLDER = join(import.meta.dirname, "../../../vectors/gguf");
const vectors = (): Promise<TensorFile> => openSafetensors(memorySource(readFileSync(join(FOLDER, "blocks.safetensors")), "blocks"));

/** Index of the first value with other bits, NaNs alike; −1 if there is none. */
function firstDifference(actual: Float32Array, expected: Float32Array): number {
  if (actual.length !== expected.length) return Math.min(actual.length, expected.length);
  return actual.findIndex((value, i) => !Object.is(value, expected[i]));
}

describe("blocks of GGUF", () => {
  it.each(READABLE_GGML_TYPES.map((type) => [type]))("dequantizes %s bit for bit as the package gguf", async (type) => {
    const file = await vectors();
    const expected = decodeToF32("F32", await file.read(`${type}.values`));
    const actual = dequantizeGguf(type, await file.read(`${type}.blocks`));
    const at = firstDifference(actual, expected);
    expect({ at, value: actual[at], count: actual.length }).toEqual({ at: -1, value: undefined, count: expected.length });
  });

  it("dequantizes blocks that lie at odd offsets into a buffer of the caller's", async () => {
    const file = await vectors();
    for (const type of READABLE_GGML_TYPES) {
      const blocks = await file.read(`${type}.blocks`);
      const shifted = new Uint8Array(blocks.byteLength + 1);
      shifted.set(blocks, 1);
      const out = new Float32Array(decodeToF32("F32", await file.read(`${type}.values`)).length + 3);
      dequantizeGguf(type, shifted.subarray(1), out);
      expect([type, firstDifference(out.subarray(0, -3), dequantizeGguf(type, blocks))]).toEqual([type, -1]);
    }
  });

  it("quantizes Q8_0 to the bytes of the package gguf", async () => {
    const file = await vectors();
    const values = decodeToF32("F32", await file.read("quantize.values"));
    expect(Buffer.from(quantizeQ8_0(values)).equals(Buffer.from(await file.read("quantize.Q8_0")))).toBe(true);
  });

  it("knows number and block of every type that the package gguf knows", () => {
    const { types } = JSON.parse(readFileSync(join(FOLDER, "types.json"), "utf8")) as { types: Record<string, number[]> };
    expect(Object.fromEntries(Object.entries(GGML_TYPES).map(([name, { id, values, bytes }]) => [name, [id, values, bytes]]))).toEqual(
      types,
    );
  });
});
