import { describe, expect, it } from "vitest";
import { memorySource } from "../core/index.ts";
import { joined } from "./fixtures/bytes.ts";
import { encodeSafetensors, NF4_CODEBOOK, openSafetensors, readBnb4bit, type SafetensorsDtype, type TensorFile } from "./index.ts";

type Part = { dtype: SafetensorsDtype; shape: number[]; bytes: Uint8Array };

const floats = (values: readonly number[], shape = [values.length]): Part => ({
  dtype: "F32",
  shape,
  bytes: new Uint8Array(Float32Array.from(values).buffer),
});
const bytes = (values: ArrayLike<number>, shape = [values.length]): Part => ({ dtype: "U8", shape, bytes: Uint8Array.from(values) });
const json = (value: unknown): Part => bytes(new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value)));

const STATE = { quant_type: "nf4", blocksize: 64, dtype: "bfloat16", shape: [3, 50] };

/** 150 values in three blocks. */
const plain = (): Record<string, Part> => ({
  w: bytes(new Uint8Array(75).fill(0x7f), [75, 1]),
  "w.absmax": floats([1, 2, 3]),
  "w.quant_map": floats(NF4_CODEBOOK),
  "w.quant_state.bitsandbytes__nf4": json(STATE),
});

const nested = (): Record<string, Part> => ({
  ...plain(),
  "w.absmax": bytes([255, 0, 127]),
  "w.nested_absmax": floats([0.5]),
  "w.nested_quant_map": floats(Array.from({ length: 256 }, (_, i) => (i === 255 ? 1 : i / 256))),
  "w.quant_state.bitsandbytes__nf4": json({ ...STATE, nested_blocksize: 256, nested_dtype: "float32", nested_offset: 2 }),
});

async function file(parts: Record<string, Part>): Promise<TensorFile> {
  const tensors = Object.entries(parts).map(([name, part]) => ({ name, dtype: part.dtype, shape: part.shape, chunks: () => [part.bytes] }));
  return openSafetensors(memorySource(await joined(encodeSafetensors(tensors)), "model.safetensors"));
}

const read = async (parts: Record<string, Part>) => readBnb4bit(await file(parts), "w");

describe("readBnb4bit", () => {
  it("reads a weight without double quantization", async () => {
    const tensor = await read(plain());
    expect(tensor).toMatchObject({ name: "w", shape: [3, 50], blockSize: 64, quantType: "nf4", dtype: "bfloat16" });
    expect([...tensor.absmax]).toEqual([1, 2, 3]);
    expect(tensor.nested).toBeUndefined();
  });

  it("restores double-quantized scales", async () => {
    const tensor = await read(nested());
    expect([...tensor.absmax]).toEqual([2.5, 2, 2 + (127 / 256) * 0.5]);
    expect(tensor.nested).toMatchObject({ offset: 2, blockSize: 256 });
  });

  it("takes packed bytes that another storage dtype holds", async () => {
    const parts = {
      ...plain(),
      "w.quant_state.bitsandbytes__nf4": json({ ...STATE, shape: [152] }),
      w: { dtype: "BF16" as const, shape: [38, 1], bytes: new Uint8Array(76) },
    };
    expect((await read(parts)).packed).toHaveLength(76);
  });

  it.each<[string, Record<string, Part>, RegExp]>([
    ["packed bytes of another length", { w: bytes(new Uint8Array(74)) }, /w: expected 75 bytes, found 74/],
    ["too few scales", { "w.absmax": floats([1, 2]) }, /w.absmax: expected 12 bytes of F32, found 8 bytes of F32/],
    [
      "scales of another dtype",
      { "w.absmax": { ...floats([1, 2, 3]), dtype: "I32" } },
      /w.absmax: expected 12 bytes of F32, found 12 bytes of I32/,
    ],
    ["a scale that is NaN", { "w.absmax": floats([1, Number.NaN, 3]) }, /finite scales/],
    ["another codebook", { "w.quant_map": floats([...NF4_CODEBOOK].reverse()) }, /NF4 values in quant_map/],
    ["a state that is no JSON", { "w.quant_state.bitsandbytes__nf4": json("{") }, /a key in double quotes/],
    ["a state of the wrong dtype", { "w.quant_state.bitsandbytes__nf4": floats([1]) }, /JSON as U8/],
    ["a state of absurd length", { "w.quant_state.bitsandbytes__nf4": bytes(new Uint8Array(5000)) }, /at most 4096 bytes/],
    ["a state of absurd sizes", { "w.quant_state.bitsandbytes__nf4": json({ ...STATE, shape: [2 ** 40, 2 ** 40] }) }, /shape: expected/],
    [
      "a block size of 0",
      { "w.quant_state.bitsandbytes__nf4": json({ ...STATE, blocksize: 0 }) },
      /blocksize: expected a whole number from 1 to 4096, found 0/,
    ],
    [
      "another type in the state",
      { "w.quant_state.bitsandbytes__nf4": json({ ...STATE, quant_type: "fp4" }) },
      /quant_type: expected "nf4", found "fp4"/,
    ],
    ["half a nested state", { "w.quant_state.bitsandbytes__nf4": json({ ...STATE, nested_offset: null }) }, /nested_blocksize: expected/],
    ["a state that is a list", { "w.quant_state.bitsandbytes__nf4": json([]) }, /quant_type: expected "nf4", found nothing/],
  ])("refuses %s", async (_, change, message) => {
    const error = await read({ ...plain(), ...change }).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: expect.stringMatching(/BNB_INVALID|JSON_INVALID/), message: expect.stringMatching(message) });
  });

  it.each(["w.nested_absmax", "w.nested_quant_map", "w.absmax", "w.quant_map", "w"])("names %s when it is missing", async (part) => {
    const { [part]: _, ...rest } = nested();
    await expect(read(rest)).rejects.toMatchObject({
      code: "BNB_INVALID",
      message: expect.stringContaining(`a tensor ${part}, found none`),
    });
  });

  it("refuses FP4 by name", async () => {
    const { "w.quant_state.bitsandbytes__nf4": state, ...rest } = plain();
    await expect(read({ ...rest, "w.quant_state.bitsandbytes__fp4": state as Part })).rejects.toMatchObject({
      code: "QUANTIZATION_UNSUPPORTED",
    });
  });
});
