import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { memorySource } from "../core/index.ts";
import { bnb4bitNames, bnb4bitParts, isBnb4bit, openSafetensors, readBnb4bit, type TensorFile } from "../formats/index.ts";
import { dequantizeNf4 } from "./index.ts";

const FOLDER = join(import.meta.dirname, "../../vectors/llama-tiny-qlora");
const open = (path: string): Promise<TensorFile> => openSafetensors(memorySource(readFileSync(join(FOLDER, path)), path));

it("dequantizes a checkpoint of transformers with bitsandbytes bit for bit", async () => {
  const packed = await open("base-4bit/model.safetensors");
  const dense = await open("base_dequantized.safetensors");
  const names = bnb4bitNames(packed);
  expect(new Set(names)).toEqual(new Set(dense.tensors.keys()));
  for (const name of names) {
    const tensor = await readBnb4bit(packed, name);
    expect(tensor.shape).toEqual(dense.tensors.get(name)?.shape);
    const out = new Float32Array(tensor.shape.reduce((product, size) => product * size, 1));
    dequantizeNf4(tensor, out);
    expect(Buffer.from(out.buffer).equals(await dense.read(name)), name).toBe(true);
  }
});

it("tells 4-bit weights, their parts and dense tensors apart", async () => {
  const file = await open("base-4bit/model.safetensors");
  const names = bnb4bitNames(file);
  expect(isBnb4bit(file, names[0] as string)).toBe(true);
  expect(isBnb4bit(file, "lm_head.weight")).toBe(false);
  const parts = names.flatMap((name) => bnb4bitParts(file, name));
  const dense = [...file.tensors.keys()].filter((name) => !parts.includes(name) && !names.includes(name));
  expect(parts).toHaveLength(5 * names.length);
  expect(dense.every((name) => /norm|embed_tokens|lm_head/.test(name))).toBe(true);
});
