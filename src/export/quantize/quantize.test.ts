import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadModelFolder } from "../../engine/index.ts";
import { openModelFolder } from "../../folders/index.ts";
import { bnb4bitNames } from "../../formats/index.ts";
import { failure } from "../../train/fixtures/tiny-run.ts";
import { ExportScene } from "../fixtures/scene.ts";
import { mergeAdapter, quantizeModel } from "../index.ts";

let scene: ExportScene;
let base: string;
beforeAll(async () => {
  scene = new ExportScene();
  base = await scene.model("base", { dtype: "BF16" });
});
afterAll(() => scene.close());

describe("a model in 4 bits", () => {
  test.each([false, true])("holds what training makes of the dense model on load (double quantization: %s)", async (doubleQuant) => {
    const output = scene.path(`nf4-${doubleQuant}`);
    const { quantized, kept, bytes, difference } = await quantizeModel({ path: base, output, doubleQuant }, { inline: true });
    expect([quantized, kept]).toEqual([14, 7]);
    expect(bytes.after).toBeLessThan(bytes.before);
    expect(difference).toHaveLength(7);
    const [dense, packed] = [await openModelFolder(base), await openModelFolder(output)];
    const onLoad = await loadModelFolder(dense, { quantization: { type: "nf4", doubleQuant }, cache: "off" });
    const stored = await loadModelFolder(packed, { quantization: null, cache: "off" });
    expect([...stored.quantized].sort()).toEqual([...onLoad.quantized].sort());
    expect(stored.doubleQuant).toBe(doubleQuant);
    for (const { name } of onLoad.tensors())
      expect(Buffer.compare(new Uint8Array(stored.values(name).buffer), new Uint8Array(onLoad.values(name).buffer)), name).toBe(0);
    await Promise.all([dense.folder.close(), packed.folder.close()]);
  });

  test("gives an adapter that was trained on NF4 the same logits as the dense model quantized on load", async () => {
    // The two merges are onto the same dequantized values, so they are equal byte for byte.
    const adapter = await scene.adapter("adapter", base);
    rmSync(scene.path("nf4-true"), { recursive: true, force: true });
    await quantizeModel({ path: base, output: scene.path("nf4-true"), doubleQuant: true }, { inline: true });
    const onLoad = await mergeAdapter({ path: adapter, output: scene.path("m1"), heldAs: "nf4-double", dtype: "fp32" }, { inline: true });
    const stored = await mergeAdapter(
      { path: adapter, base: scene.path("nf4-true"), output: scene.path("m2"), dtype: "fp32" },
      { inline: true },
    );
    expect(stored.check?.merged.rms).toBe(onLoad.check?.merged.rms);
    expect(Buffer.compare(readFileSync(scene.path("m1", "model.safetensors")), readFileSync(scene.path("m2", "model.safetensors")))).toBe(
      0,
    );
    expect(stored.notes.join()).toContain("how far they are from the original was not measured");
    const named = { path: adapter, base: scene.path("nf4-true"), output: scene.path("m3"), dtype: "fp32" as const };
    expect(await failure(mergeAdapter({ ...named, onto: "original" }, { inline: true }))).toMatchObject({ code: "USAGE" });
    const { difference, check } = await mergeAdapter({ ...named, original: base, onto: "original" }, { inline: true });
    expect(difference?.find(({ group }) => group === "q_proj")?.relative).toBeGreaterThan(0.05);
    expect(check?.onOriginal?.rms).toBeGreaterThan(0.01);
  });

  test("says in its configuration what transformers needs, with Python's floats", async () => {
    const text = readFileSync(scene.path("nf4-true", "config.json"), "utf8");
    expect(text).toContain('"llm_int8_threshold": 6.0');
    expect(scene.json("nf4-true", "config.json")).toMatchObject({
      quantization_config: { quant_method: "bitsandbytes", bnb_4bit_use_double_quant: true, bnb_4bit_compute_dtype: "bfloat16" },
    });
  });

  test("leaves a tied head out, and may be cut into shards", async () => {
    const tied = await scene.model("tied", { tied: true });
    const { files } = await quantizeModel({ path: tied, output: scene.path("tied-nf4"), maxShardBytes: 20_000 }, { inline: true });
    expect(files.filter((name) => name.endsWith(".safetensors")).length).toBeGreaterThan(1);
    const { tensors, folder } = await openModelFolder(scene.path("tied-nf4"));
    expect(bnb4bitNames(tensors)).toHaveLength(14);
    expect(tensors.tensors.has("lm_head.weight")).toBe(false);
    await folder.close();
  });

  test("is refused over something else, of weights in 4 bits, and of weights that are not numbers", async () => {
    const before = scene.names();
    const refuse = (path: string, output: string) => failure(quantizeModel({ path, output: scene.path(output) }, { inline: true }));
    expect(await refuse(base, "base")).toMatchObject({ code: "OUTPUT_EXISTS" });
    expect(await refuse(scene.path("nf4-true"), "again")).toMatchObject({ code: "QUANTIZATION_UNSUPPORTED" });
    expect(await refuse(scene.path("adapter"), "of-adapter")).toMatchObject({ code: "FILE_MISSING" });
    const controller = new AbortController();
    const stopped = quantizeModel(
      { path: base, output: scene.path("stopped") },
      { inline: true, signal: controller.signal, onEvent: () => controller.abort() },
    );
    expect(await failure(stopped)).toMatchObject({ code: "INTERRUPTED" });
    expect(scene.names()).toEqual(before);
    const nan = await scene.model("nan", {
      change: (name, tensor) => (name.includes("v_proj") ? { ...tensor, bytes: new Uint8Array(tensor.bytes.length).fill(0xff) } : tensor),
    });
    expect(await refuse(nan, "of-nan")).toMatchObject({ code: "TENSOR_NOT_FINITE" });
    expect(scene.names()).not.toContain(join("of-nan"));
  });
});
