import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { encodeFromF32, type FloatDtype } from "../../codecs/index.ts";
import { type Pickled, PickledTensor, pickled, torchBytes, wholePickle } from "../../formats/fixtures/torch.ts";
import { encodeSafetensors, type SafetensorsDtype } from "../../formats/index.ts";
import { diffPaths } from "./diff-paths.ts";

interface Written {
  readonly name: string;
  readonly dtype: SafetensorsDtype;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

const LAYER = "base_model.model.model.layers.0.mlp.up_proj";
const COPIES = ["base_model.model.model.embed_tokens.weight", "base_model.model.lm_head.weight"];

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "heirloom-diff-"));
});
afterAll(() => rm(folder, { recursive: true }));

const floats = (name: string, values: readonly number[], dtype: FloatDtype = "F32"): Written => ({
  name,
  dtype,
  shape: [values.length],
  bytes: encodeFromF32(dtype, Float32Array.from(values)),
});
const raw = (name: string, dtype: SafetensorsDtype, shape: readonly number[], bytes: readonly number[]): Written => ({
  name,
  dtype,
  shape,
  bytes: Uint8Array.from(bytes),
});

let count = 0;
async function file(tensors: readonly Written[]): Promise<string> {
  const path = join(folder, `${count++}.safetensors`);
  await writeFile(
    path,
    encodeSafetensors(
      tensors.map(({ bytes, ...plan }) => ({ ...plan, chunks: () => [bytes] })),
      { format: "pt" },
    ),
  );
  return path;
}
const diff = async (a: readonly Written[], b: readonly Written[]) => diffPaths(await file(a), await file(b));
const one = async (a: Written, b: Written) => (await diff([a], [b])).changed[0];

describe("diffPaths", () => {
  it("says which tensors moved and which were frozen, in one sentence", async () => {
    const copies = COPIES.map((name) => floats(name, [1, 2]));
    const lora = (k: number) => [floats(`${LAYER}.lora_A.weight`, [k, 1]), floats(`${LAYER}.lora_B.weight`, [2 * k])];
    const result = await diff([...copies, ...lora(1)], [...copies, ...lora(1.5)]);
    expect(result.verdict).toBe("all LoRA tensors moved; lm_head and embed_tokens are bit-identical: frozen between A and B");
    expect(result).toMatchObject({ identical: false, same: expect.arrayContaining(COPIES), onlyInA: [], onlyInB: [], shapeMismatch: [] });
    expect(result.changed).toHaveLength(2);
    expect(result.groups.find(({ name }) => name === "lora_A")).toMatchObject({ same: 0, changed: 1, maxAbs: 0.5, changedShare: 0.5 });
  });

  it("says that A and B are the same, or have nothing in common", async () => {
    const tensors = [floats("a.weight", [1]), floats("b.weight", [2])];
    expect(await diff(tensors, tensors)).toMatchObject({ identical: true, verdict: "all 2 tensors are bit-identical", changed: [] });
    expect((await diff(tensors, [floats("c.weight", [1])])).verdict).toBe(
      "A and B have no tensor name in common: 2 tensors only in A and 1 tensors only in B",
    );
  });

  it("lists what is on one side only or has another shape", async () => {
    const result = await diff(
      [floats("a.weight", [1]), floats("b.weight", [1, 2]), floats("c.weight", [1])],
      [floats("b.weight", [1]), floats("c.weight", [1]), floats("d.weight", [1])],
    );
    expect(result).toMatchObject({ identical: false, onlyInA: ["a.weight"], onlyInB: ["d.weight"], same: ["c.weight"] });
    expect(result.shapeMismatch).toEqual([{ name: "b.weight", a: [2], b: [1] }]);
    expect(result.verdict).toBe(
      "all 1 tensors that both have are bit-identical; 1 tensors only in A; 1 tensors only in B; 1 tensors of another shape",
    );
  });

  it("measures how far a tensor moved, in itself and against its size", async () => {
    for (const dtype of ["F32", "F16", "BF16", "F64"] as const) {
      const change = await one(floats("w.weight", [1, -4, 2, 0.5, 8], dtype), floats("w.weight", [1, -4.5, 2, 0.5, 8], dtype));
      expect(change, dtype).toMatchObject({ maxAbs: 0.5, maxRel: 0.0625, changedShare: 0.2, elements: 5, notFinite: 0 });
    }
    const integers = await one(raw("w.weight", "I8", [3], [1, 0xff, 5]), raw("w.weight", "I8", [3], [1, 2, 5]));
    expect(integers).toMatchObject({ maxAbs: 3, maxRel: 0.6 });
    const long = await one(raw("w.weight", "I64", [1], [7, 0, 0, 0, 0, 0, 0, 0]), raw("w.weight", "I64", [1], [4, 0, 0, 0, 0, 0, 0, 0]));
    expect(long).toMatchObject({ maxAbs: 3 });
  });

  it("compares dtypes with each other by value", async () => {
    const values = [1, -0.5, 3];
    const result = await diff([floats("w.weight", values, "BF16")], [floats("w.weight", values)]);
    expect(result).toMatchObject({ identical: false, changed: [], same: ["w.weight"], dtypes: [{ a: "BF16", b: "F32" }] });
    expect(result.verdict).toBe("all 1 tensors are equal in value (1 in another dtype)");
    expect(await one(floats("w.weight", [1, 2], "F16"), floats("w.weight", [1, 2.5], "BF16"))).toMatchObject({
      maxAbs: 0.5,
      changedShare: 0.5,
    });
  });

  it("finds a difference in any place of a tensor of several chunks, and its largest value in an equal chunk", async () => {
    const size = 4_194_304 + 13;
    const a = new Uint16Array(size).fill(0x3f80);
    a[5] = 0x4180;
    const b = a.slice();
    b[size - 1] = 0x4000;
    const written = (units: Uint16Array): Written => ({
      name: "w.weight",
      dtype: "BF16",
      shape: [size],
      bytes: new Uint8Array(units.buffer),
    });
    expect(await one(written(a), written(b))).toMatchObject({ maxAbs: 1, maxRel: 1 / 16, changedShare: 1 / size });
  });

  it("tells where most of a bf16 tensor's updates were lost to rounding", async () => {
    const { notes } = await diff([floats("lm_head.weight", [1, 2, 3, 4], "BF16")], [floats("lm_head.weight", [1, 2, 3, 5], "BF16")]);
    expect(notes).toEqual([expect.stringContaining("lm_head.weight: 25.0 % did")]);
  });

  it("keeps measuring beside NaN and infinities, and counts them", async () => {
    for (const dtype of ["F32", "BF16"] as const) {
      const change = await one(
        floats("w.weight", [Number.NaN, 1, Number.POSITIVE_INFINITY, 2], dtype),
        floats("w.weight", [0, 1.5, Number.POSITIVE_INFINITY, 2], dtype),
      );
      expect(change, dtype).toMatchObject({ maxAbs: 0.5, notFinite: 2, changedShare: 0.5 });
    }
  });

  it("tells that fp8 tensors differ without reading their values", async () => {
    expect(await one(raw("w.weight", "F8_E4M3", [4], [1, 2, 3, 4]), raw("w.weight", "F8_E4M3", [4], [1, 2, 3, 5]))).toMatchObject({
      maxAbs: null,
      maxRel: null,
      changedShare: 0.25,
    });
    expect(await one(raw("w.weight", "F8_E4M3", [2], [1, 2]), floats("w.weight", [1, 2]))).toMatchObject({ maxAbs: null, changedShare: 1 });
  });

  it("takes empty tensors and scalars", async () => {
    const tensors = [raw("empty.weight", "F32", [0, 4], []), raw("scalar.weight", "F32", [], [0, 0, 128, 63])];
    expect(await diff(tensors, tensors)).toMatchObject({ identical: true });
  });

  it("opens folders and legacy torch files", async () => {
    const dict = new Map<Pickled, Pickled>([["a.weight", new PickledTensor("0", "FloatStorage", 2, [2])]]);
    const adapter = join(folder, "adapter");
    await mkdir(adapter);
    await writeFile(join(adapter, "adapter_config.json"), "{}");
    await writeFile(
      join(adapter, "adapter_model.bin"),
      torchBytes(wholePickle(pickled(dict)), { 0: encodeFromF32("F32", Float32Array.from([1, 2])) }),
    );
    expect(await diffPaths(adapter, await file([floats("a.weight", [1, 2])]))).toMatchObject({ identical: true });
    expect(await diffPaths(join(adapter, "adapter_model.bin"), adapter)).toMatchObject({ identical: true });
  });

  it("refuses what is not there and stops when it is told to", async () => {
    await expect(diffPaths(join(folder, "nowhere"), folder)).rejects.toMatchObject({ code: "FILE_MISSING" });
    const path = await file([floats("a.weight", [1])]);
    await expect(diffPaths(path, path, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "INTERRUPTED" });
  });
});
