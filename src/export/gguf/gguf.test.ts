import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { decodeToF32 } from "../../codecs/index.ts";
import { openFile } from "../../core/node/index.ts";
import { type GgufHeader, readGgufHeader } from "../../formats/index.ts";
import { parseModelConfig } from "../../model/index.ts";
import { failure } from "../../train/fixtures/tiny-run.ts";
import { ExportScene } from "../fixtures/scene.ts";
import { exportGguf, type GgufRequest, importGguf, mergeAdapter, quantizeModel } from "../index.ts";
import { permuteRows } from "./permute.ts";

let scene: ExportScene;
let base: string;
let made = 0;
beforeAll(async () => {
  scene = new ExportScene();
  base = await scene.model("base", { dtype: "BF16" });
});
afterAll(() => scene.close());

const write = (request: Omit<GgufRequest, "output">, output = `out-${++made}.gguf`) =>
  exportGguf({ output: scene.path(output), ...request }, { inline: true });

async function header(path: string): Promise<GgufHeader> {
  const file = await openFile(path);
  try {
    return await readGgufHeader(file);
  } finally {
    await file.close();
  }
}

describe("a model as a GGUF file", () => {
  test("comes back through import as the same weights, configuration and tokenizer", async () => {
    const { output, architecture, preTokenizer, types } = await write({ path: base, type: "bf16" });
    expect({ architecture, preTokenizer, types }).toEqual({ architecture: "llama", preTokenizer: "gpt-2", types: { BF16: 16, F32: 5 } });
    await importGguf(output, scene.path("back"));
    const [was, is] = [await scene.tensors("base", "model.safetensors"), await scene.tensors("back", "model.safetensors")];
    expect([...is.tensors.keys()].sort()).toEqual([...was.tensors.keys()].sort());
    for (const name of was.tensors.keys()) expect(Buffer.compare(await is.read(name), await was.read(name)), name).toBe(0);
    const spec = (name: string) => {
      // The padding token is the tokenizer's, which config.json of the scene does not repeat.
      const {
        raw: _raw,
        torchDtype: _dtype,
        padTokenId: _pad,
        rmsNormEps,
        ...rest
      } = parseModelConfig(scene.json(name, "config.json"), name);
      return { ...rest, rmsNormEps: Math.fround(rmsNormEps) };
    };
    expect(spec("back")).toEqual(spec("base"));
  });

  test("keeps a tied head out, and Llama 3's factors of the rotation in", async () => {
    const scaling = { rope_type: "llama3", factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 };
    const tied = await scene.model("tied", { tied: true, config: { rope_scaling: scaling } });
    const { tensors } = await header((await write({ path: tied })).output);
    expect(tensors.has("output.weight")).toBe(false);
    expect(tensors.get("rope_freqs.weight")).toMatchObject({ shape: [4], type: "F32" });
  });

  test("in Q8_0 keeps matrices without whole blocks in fp16, and says so", async () => {
    const { types, notes } = await write({ path: base, type: "q8_0" });
    expect(types).toEqual({ Q8_0: 14, F16: 2, F32: 5 });
    expect(notes.join()).toContain("no whole blocks of 32");
  });

  test("is made of an adapter by merging it, and nothing of the merge is left", async () => {
    const adapter = await scene.adapter("adapter", base);
    const before = scene.names().length;
    const { output, kind } = await write({ path: adapter, type: "bf16" });
    expect(kind).toBe("model");
    expect(scene.names()).toHaveLength(before + 1);
    await importGguf(output, scene.path("merged-back"));
    const [was, is] = [await scene.tensors("base", "model.safetensors"), await scene.tensors("merged-back", "model.safetensors")];
    const same = async (name: string) => Buffer.compare(await is.read(name), await was.read(name)) === 0;
    expect(await same("model.layers.0.self_attn.k_proj.weight")).toBe(true);
    expect(await same("model.layers.0.self_attn.q_proj.weight")).toBe(false);
  });

  test.each<[string, Record<string, unknown>, boolean]>([
    ["a copy of the head", { modules_to_save: ["lm_head"] }, true],
    ["DoRA, on a base in NF4", { use_dora: true }, false],
    ["LoRA on the embedding", { target_modules: ["embed_tokens", "o_proj", "lm_head"] }, false],
  ])("of an adapter is that of its merged model in fp32, byte for byte, without a folder in between: %s", async (_, config, check) => {
    const name = `streamed-${++made}`;
    const adapter = await scene.adapter(name, base, { config });
    const heldAs = config["use_dora"] === true ? "nf4" : "files";
    const merged = scene.path("folders", name);
    mkdirSync(scene.path("folders"), { recursive: true });
    await mergeAdapter({ path: adapter, output: merged, dtype: "fp32", heldAs, check }, { inline: true });
    const folder = await write({ path: merged, type: "q8_0" });
    const before = new Set(scene.names());
    const between = new Set<string>();
    const output = scene.path(`${name}.gguf`);
    await exportGguf(
      { path: adapter, output, type: "q8_0", heldAs, check },
      { inline: true, onEvent: () => void scene.names().map((found) => between.add(found)) },
    );
    expect(Buffer.compare(readFileSync(output), readFileSync(folder.output))).toBe(0);
    // While it is written there is the file that will be it, and nothing else.
    expect([...between].filter((found) => !before.has(found))).toEqual([expect.stringMatching(/^\.streamed-\d+\.gguf\..*tmp$/)]);
  });

  test("is written of Mistral where its window is the whole context, or where there is none", async () => {
    const mistral = { architectures: ["MistralForCausalLM"], model_type: "mistral", max_position_embeddings: 32 };
    for (const window of [null, 32]) {
      const path = await scene.model(`window-${window}`, { config: { ...mistral, sliding_window: window } });
      expect((await write({ path })).architecture).toBe("llama");
    }
    const path = await scene.model("window-31", { config: { ...mistral, sliding_window: 31 } });
    const error = await failure(write({ path }));
    expect(error).toMatchObject({ code: "EXPORT_UNSUPPORTED", details: { feature: "sliding_window", window: 31, maxPositions: 32 } });
    expect(error.message).toContain("the last 31 of 32 positions");
    expect(error.hint).toContain("max_position_embeddings 31");
  });

  test("permutes the rows of q and k within their heads", () => {
    expect([...permuteRows(Float32Array.from([0, 1, 2, 3, 10, 11, 12, 13]), 1, 4)]).toEqual([0, 2, 1, 3, 10, 12, 11, 13]);
  });
});

describe("an adapter as a GGUF file", () => {
  test("has pairs of matrices and the alpha that gives their scaling", async () => {
    const adapter = await scene.adapter("lora", base, { config: { use_rslora: true } });
    const { output, types, notes } = await write({ path: adapter, lora: true });
    expect(types).toEqual({ F32: 12 });
    expect(notes).toEqual([]);
    const { metadata, tensors } = await header(output);
    // rsLoRA: 8 / √4 is a scaling of 4; llama.cpp divides alpha by the rank.
    expect(metadata.get("adapter.lora.alpha")).toMatchObject({ value: 16 });
    expect(metadata.get("general.type")).toMatchObject({ value: "adapter" });
    expect(tensors.get("blk.1.ffn_down.weight.lora_a")?.shape).toEqual([4, 48]);
    expect(tensors.get("blk.1.ffn_down.weight.lora_b")?.shape).toEqual([32, 4]);
  });

  test("multiplies the B of a module with a scaling of its own, and says so", async () => {
    const adapter = await scene.adapter("patterns", base, { config: { alpha_pattern: { v_proj: 16 } } });
    const { output, notes } = await write({ path: adapter, lora: true });
    expect(notes.join()).toContain("the B of 2 modules was multiplied");
    const tensor = (await header(output)).tensors.get("blk.0.attn_v.weight.lora_b");
    const file = readFileSync(output);
    const stored = decodeToF32(
      "F32",
      await (await scene.tensors("patterns", "adapter_model.safetensors")).read(
        "base_model.model.model.layers.0.self_attn.v_proj.lora_B.weight",
      ),
    );
    const found = decodeToF32("F32", file.subarray(tensor?.start, tensor?.end));
    expect([...found]).toEqual([...stored].map((value) => 2 * value));
  });

  test.each<[string, Record<string, unknown>]>([
    ["modules_to_save", { modules_to_save: ["lm_head"] }],
    ["trainable_token_indices", { trainable_token_indices: [1] }],
    ["use_dora", { use_dora: true }],
    ["lora_bias", { lora_bias: true }],
    ["alora_invocation_tokens", { alora_invocation_tokens: [1] }],
    ["init_lora_weights", { init_lora_weights: "pissa" }],
    ["target_modules", { target_modules: ["embed_tokens"] }],
  ])("is refused by name for what it cannot hold, and told to be merged: %s", async (feature, config) => {
    const adapter = await scene.adapter(`refused-${++made}`, base, { config });
    const before = scene.names();
    const error = await failure(write({ path: adapter, lora: true }));
    expect(error).toMatchObject({ code: "EXPORT_UNSUPPORTED", hint: "export the merged model instead, without --lora" });
    expect(error.problems.map(({ details }) => details?.["feature"])).toContain(feature);
    expect(scene.names()).toEqual(before);
  });
});

describe("an export that cannot be made", () => {
  async function refused(request: Omit<GgufRequest, "output">, output?: string) {
    const before = scene.names();
    const error = await failure(write(request, output));
    expect(scene.names()).toEqual(before);
    return error;
  }

  async function withTokenizer(name: string, change: (tokenizer: Record<string, unknown>) => void): Promise<string> {
    const path = await scene.model(name);
    const tokenizer = scene.json(name, "tokenizer.json");
    change(tokenizer);
    writeFileSync(join(path, "tokenizer.json"), JSON.stringify(tokenizer));
    return path;
  }

  test("is refused for a pre-tokenizer that llama.cpp has no name for", async () => {
    const path = await withTokenizer("odd-split", (tokenizer) => {
      tokenizer["pre_tokenizer"] = {
        type: "Sequence",
        pretokenizers: [
          { type: "Digits", individual_digits: false },
          { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
        ],
      };
    });
    const error = await refused({ path });
    expect(error).toMatchObject({ code: "EXPORT_UNSUPPORTED", details: { feature: "tokenizer" } });
    expect(error.message).toContain("individual_digits");
  });

  test("is refused for a normalizer, a window, and values beyond fp16", async () => {
    const path = await withTokenizer("lower", (tokenizer) => {
      tokenizer["normalizer"] = { type: "Lowercase" };
    });
    expect(await refused({ path })).toMatchObject({ code: "EXPORT_UNSUPPORTED" });
    const window = await scene.model("window", {
      config: { architectures: ["MistralForCausalLM"], model_type: "mistral", sliding_window: 7 },
    });
    expect(await refused({ path: window })).toMatchObject({ code: "EXPORT_UNSUPPORTED", details: { feature: "sliding_window" } });
    const huge = await scene.model("huge", { deviation: 1e6 });
    expect(await refused({ path: huge, type: "f16" })).toMatchObject({ code: "TENSOR_NOT_FINITE", hint: "export with --type bf16" });
  });

  test("is refused where --held-as contradicts a base that is stored in 4 bits, as a merge is", async () => {
    await quantizeModel({ path: base, output: scene.path("base-nf4") }, { inline: true });
    const adapter = await scene.adapter("on-nf4", scene.path("base-nf4"));
    const request = { path: adapter, heldAs: "nf4-double", check: false } as const;
    const expected = { code: "USAGE", message: expect.stringContaining("--held-as nf4-double") as unknown };
    expect(await refused(request)).toMatchObject(expected);
    expect(await failure(mergeAdapter({ ...request, output: scene.path("never") }, { inline: true }))).toMatchObject(expected);
    expect((await write({ ...request, heldAs: "files" })).kind).toBe("model");
  });

  test("is refused over something else, for a LoRA of a model, with a type for a LoRA, and when it is told to stop", async () => {
    writeFileSync(scene.path("there.gguf"), "");
    expect(await refused({ path: base }, "there.gguf")).toMatchObject({ code: "OUTPUT_EXISTS" });
    expect(await refused({ path: base, lora: true })).toMatchObject({ code: "FILE_MISSING" });
    const adapter = await scene.adapter("typed", base);
    expect(await refused({ path: adapter, lora: true, type: "f16" })).toMatchObject({ code: "USAGE" });
    expect(await refused({ path: adapter, lora: true, onto: "original", heldAs: "nf4", check: false })).toMatchObject({
      code: "USAGE",
      message: expect.stringContaining("nothing of an adapter by itself depends on --onto, --held-as, --no-check") as unknown,
    });
    expect(await refused({ path: base, base, check: true })).toMatchObject({
      code: "USAGE",
      message: expect.stringContaining("nothing of a model depends on --base") as unknown,
    });
    for (const path of [base, adapter]) {
      const before = scene.names();
      const controller = new AbortController();
      const stopped = exportGguf(
        { path, output: scene.path("never.gguf") },
        { inline: true, signal: controller.signal, onEvent: () => controller.abort() },
      );
      expect(await failure(stopped)).toMatchObject({ code: "INTERRUPTED" });
      expect(scene.names()).toEqual(before);
    }
  });
});
