import { mkdir, mkdtemp, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type AdapterSpec, adapterSpec, adapterTensors, peftFromAdapter, resolveTargets } from "../../adapter/index.ts";
import { sparseSafetensors } from "../../formats/fixtures/bytes.ts";
import { encodeSafetensors, serializePeftConfig } from "../../formats/index.ts";
import { parseModelConfig } from "../../model/index.ts";
import { inspectPath } from "./index.ts";

const ADAPTER: AdapterSpec = adapterSpec({
  rank: 32,
  alpha: 64,
  targetModules: ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
  modulesToSave: ["embed_tokens", "lm_head"],
  baseModel: "meta-llama/Llama-3.1-8B",
});

let folder: string;

/** Writes the header of a safetensors file and leaves the tensors' bytes a hole. */
async function writeSparse(path: string, tensors: Parameters<typeof sparseSafetensors>[0]): Promise<void> {
  const { head, size } = sparseSafetensors(tensors);
  await writeFile(path, head);
  await truncate(path, size);
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "heirloom-inspect-"));
  await mkdir(join(folder, "adapter"));
  const spec = parseModelConfig(JSON.parse(await readFile("vectors/configs/llama-3.1-8b.json", "utf8")), "llama-3.1-8b.json");
  const tensors = adapterTensors(resolveTargets(spec, ADAPTER)).map(({ name, shape, role }) => ({
    name,
    shape,
    dtype: role === "full_copy" ? ("BF16" as const) : ("F32" as const),
  }));
  await writeSparse(join(folder, "adapter/adapter_model.safetensors"), tensors);
  await writeFile(join(folder, "adapter/adapter_config.json"), serializePeftConfig(peftFromAdapter(ADAPTER)));
});

afterAll(() => rm(folder, { recursive: true }));

describe("inspectPath", () => {
  it("tells the learning-rate groups that a record gives, and where record and file part ways", async () => {
    const adapter = join(folder, "recorded");
    await mkdir(adapter);
    await writeFile(join(adapter, "adapter_config.json"), serializePeftConfig(peftFromAdapter({ ...ADAPTER, modulesToSave: ["lm_head"] })));
    const prefix = "base_model.model.";
    await writeSparse(join(adapter, "adapter_model.safetensors"), [
      { name: `${prefix}lm_head.weight`, shape: [8, 4], dtype: "F32" },
      { name: `${prefix}model.layers.0.mlp.up_proj.lora_A.weight`, shape: [2, 4], dtype: "F32" },
    ]);
    const training = { groups: [{ name: "head", match: ["lm_head"], learningRateRatio: 0.1 }], learningRate: 1e-3, weightDecay: 0 };
    const trainable = [
      { name: `${prefix}lm_head.modules_to_save.default.weight`, group: "head" },
      { name: `${prefix}model.layers.0.mlp.up_proj.lora_A.default.weight`, group: "default" },
      { name: `${prefix}model.layers.0.mlp.up_proj.lora_B.default.weight`, group: "default" },
    ];
    await writeFile(
      join(adapter, "heirloom.json"),
      JSON.stringify({
        schemaVersion: 1,
        run: "r",
        step: 7,
        base: { path: "base", fingerprint: { method: "sha256", value: "0" } },
        config: { base: "base", adapter: {}, data: {}, training, engine: {} },
        trainable,
        evaluations: [],
      }),
    );
    const result = await inspectPath(adapter);
    expect(result.groups).toEqual([
      { name: "head", match: ["lm_head"], learningRate: 1e-4, tensors: 1, parameters: 32 },
      { name: "default", match: [], learningRate: 1e-3, tensors: 1, parameters: 8 },
    ]);
    expect(result.tensors.map(({ group }) => group)).toEqual(["head", "default"]);
    expect(result.provenance).toMatchObject({ run: "r", step: 7 });
    expect(result.notes).toEqual([expect.stringContaining("1 tensors that the record says were trained are not in the file")]);
  });

  it("counts the 8B adapter with full copies to the digit, from headers and the base's config alone", async () => {
    const result = await inspectPath(join(folder, "adapter"), { base: "vectors/configs/llama-3.1-8b.json" });
    expect(result).toMatchObject({
      kind: "adapter",
      architecture: "LlamaForCausalLM",
      adapter: { variant: "lora", rank: 32, alpha: 64, scaling: 2, layers: null, modulesToSave: ["embed_tokens", "lm_head"] },
      counts: {
        basis: "recorded",
        trainable: 1_134_559_232,
        all: 9_164_820_480,
        lora: 83_886_080,
        fullCopies: 1_050_673_152,
        base: 8_030_261_248,
        embeddings: 1_050_673_152,
      },
      banner: {
        peft: {
          fresh: "trainable params: 1,134,559,232 || all params: 9,164,820,480 || trainable%: 12.3795",
          reloadedTrainable: "trainable params: 1,134,559,232 || all params: 9,164,820,480 || trainable%: 12.3795",
          reloadedFrozen: "trainable params: 0 || all params: 9,164,820,480 || trainable%: 0.0000",
        },
        unsloth: "Trainable parameters = 1,134,559,232 of 9,164,820,480 (12.38% trained)",
      },
      bannerReason: null,
      provenance: { baseModel: "meta-llama/Llama-3.1-8B", peftVersion: "0.21.0" },
      notes: [],
    });
    // 4 bytes × rank 32 × 32 layers × (A: 6 × 4096 + 14336 | B: 3 × 4096 + 2 × 1024 + 2 × 14336)
    expect(result.bytes.byRole).toEqual({ lora_A: 159_383_552, lora_B: 176_160_768, full_copy: 2_101_346_304 });
    expect(Object.values(result.bytes.byRole).reduce((sum, bytes) => sum + bytes, 0)).toBe(2_436_890_624);
    expect(result.bytes.onDisk).toBeGreaterThan(2_436_890_624);
  });

  it("lists the adapter's own tensors and says why there is no banner without a base", async () => {
    const result = await inspectPath(join(folder, "adapter"));
    expect(result.banner).toBeNull();
    expect(result.bannerReason).toContain("without --base");
    expect(result.tensors).toHaveLength(450);
    expect(result.counts).toMatchObject({ trainable: 1_134_559_232, all: 1_134_559_232, base: 0 });
  });

  it("finds the adapter of a run, and tells a checkpoint from an adapter", async () => {
    const run = join(folder, "run");
    for (const name of ["checkpoint-9", "checkpoint-10"]) {
      await mkdir(join(run, name), { recursive: true });
      await writeFile(
        join(run, name, "adapter_config.json"),
        serializePeftConfig(peftFromAdapter({ ...ADAPTER, alpha: name === "checkpoint-10" ? 10 : 9 })),
      );
      await writeFile(join(run, name, "trainer_state.json"), "{}");
      await writeSparse(join(run, name, "adapter_model.safetensors"), []);
    }
    await writeFile(join(run, "run.json"), "{}");
    expect(await inspectPath(run)).toMatchObject({ kind: "run", path: run, adapter: { alpha: 10 } });
    expect(await inspectPath(join(run, "checkpoint-9"))).toMatchObject({ kind: "checkpoint", adapter: { alpha: 9 } });
  });

  it("counts a 4-bit model by its values, and its scales into its bytes", async () => {
    const result = await inspectPath("vectors/llama-tiny-qlora/base-4bit");
    expect(result).toMatchObject({ kind: "model", adapter: null, banner: null });
    const packed = result.tensors.find(({ role }) => role === "quantized_base");
    expect(packed).toMatchObject({ dtype: "NF4", trainable: false });
    expect(packed?.parameters).toBe(packed?.shape.reduce((product, size) => product * size, 1));
    expect(packed?.bytes).toBeGreaterThan((packed?.parameters ?? 0) / 2);
    expect(result.tensors.some(({ name }) => name.includes("absmax"))).toBe(false);
  });

  it("looks at a model that the engine does not run", async () => {
    const result = await inspectPath("vectors/arch-variants/gemma2/base").catch((error: unknown) => error);
    // The folder in the repository may hold the configuration only.
    if (result instanceof Error) expect(result.message).toContain("model.safetensors");
    else expect(result).toMatchObject({ kind: "model", architecture: "Gemma2ForCausalLM" });
  });

  it.each([
    ["nowhere", "FILE_MISSING"],
    ["empty", "FILE_MISSING"],
    ["no-weights", "FILE_MISSING"],
    ["pointer", "LFS_POINTER"],
    ["truncated", "SAFETENSORS_TRUNCATED"],
    ["adapter/notes.txt", "FILE_UNREADABLE"],
  ])("refuses %s with its own code and a hint", async (name, code) => {
    const config = serializePeftConfig(peftFromAdapter(ADAPTER));
    for (const made of ["empty", "no-weights", "pointer", "truncated"]) await mkdir(join(folder, made), { recursive: true });
    await writeFile(join(folder, "adapter/notes.txt"), "hello");
    await writeFile(join(folder, "no-weights/adapter_config.json"), config);
    await writeFile(
      join(folder, "pointer/adapter_config.json"),
      `version https://git-lfs.github.com/spec/v1\noid sha256:${"0".repeat(64)}\nsize 12\n`,
    );
    await writeFile(join(folder, "truncated/adapter_config.json"), config);
    const chunks: Uint8Array[] = [];
    for await (const chunk of encodeSafetensors([{ name: "a", dtype: "F32", shape: [4], chunks: () => [new Uint8Array(16)] }], {}))
      chunks.push(chunk);
    await writeFile(join(folder, "truncated/adapter_model.safetensors"), Buffer.concat(chunks).subarray(0, -4));
    await expect(inspectPath(join(folder, name))).rejects.toMatchObject({ code, hint: expect.any(String) as unknown });
  });
});
