import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { decodeToF32, encodeFromF32 } from "../../codecs/index.ts";
import { encodeSafetensors } from "../../formats/index.ts";
import { failure } from "../../train/fixtures/tiny-run.ts";
import { ExportScene } from "../fixtures/scene.ts";
import { type AdapterFormat, convertAdapter } from "../index.ts";

let scene: ExportScene;
let base: string;
let made = 0;
beforeAll(async () => {
  scene = new ExportScene();
  base = await scene.model("base");
});
afterAll(() => scene.close());

const convert = (path: string, to: AdapterFormat, output = `out-${++made}`) => convertAdapter({ path, to, output: scene.path(output) });

/** An mlx-lm adapter with the tensors given, all ones. */
async function mlxAdapter(name: string, config: Record<string, unknown>, shapes: Record<string, readonly number[]>): Promise<string> {
  mkdirSync(scene.path(name));
  const tensors = Object.entries(shapes).map(([key, shape]) => {
    const count = shape.reduce((product, size) => product * size, 1);
    return { name: key, dtype: "F32" as const, shape, chunks: () => [encodeFromF32("F32", new Float32Array(count).fill(1))] };
  });
  const chunks: Uint8Array[] = [];
  for await (const chunk of encodeSafetensors(tensors)) chunks.push(chunk.slice());
  writeFileSync(scene.path(name, "adapters.safetensors"), Buffer.concat(chunks));
  writeFileSync(scene.path(name, "adapter_config.json"), JSON.stringify(config));
  return scene.path(name);
}
const PLAIN = { fine_tune_type: "lora", num_layers: 1, lora_parameters: { rank: 2, scale: 20.0, dropout: 0.0 }, model: "org/model" };
const PAIR = { "model.layers.1.self_attn.q_proj.lora_a": [32, 2], "model.layers.1.self_attn.q_proj.lora_b": [2, 32] } as const;

describe("an adapter of PEFT in mlx-lm's form", () => {
  test.each(["F32", "BF16"] as const)("holds the same numbers transposed, and comes back bit for bit (%s)", async (dtype) => {
    const peft = await scene.adapter(`peft-${dtype}`, base, { dtype });
    const there = await convert(peft, "mlx");
    expect(there).toMatchObject({ rank: 4, scale: 2, modules: 6, layers: 2 });
    const name = there.output.slice(there.output.lastIndexOf("/") + 1);
    expect(scene.json(name, "adapter_config.json")).toMatchObject({
      fine_tune_type: "lora",
      num_layers: 2,
      lora_parameters: { rank: 4, scale: 2, dropout: 0, keys: ["self_attn.q_proj", "self_attn.v_proj", "mlp.down_proj"] },
    });
    const [mlx, original] = [
      await scene.tensors(name, "adapters.safetensors"),
      await scene.tensors(`peft-${dtype}`, "adapter_model.safetensors"),
    ];
    const a = mlx.tensors.get("model.layers.1.mlp.down_proj.lora_a");
    expect(a?.shape).toEqual([48, 4]);
    const [x, y] = [
      decodeToF32(dtype, await mlx.read("model.layers.1.mlp.down_proj.lora_a")),
      decodeToF32(dtype, await original.read("base_model.model.model.layers.1.mlp.down_proj.lora_A.weight")),
    ];
    for (let r = 0; r < 4; r++) for (let c = 0; c < 48; c++) expect(x[c * 4 + r]).toBe(y[r * 48 + c]);
    const back = await convert(there.output, "peft");
    expect(back).toMatchObject({ rank: 4, scale: 2, notes: [] });
    expect(readFileSync(join(back.output, "adapter_model.safetensors"))).toEqual(readFileSync(join(peft, "adapter_model.safetensors")));
  });

  test("keeps DoRA's lengths, rsLoRA's scaling and the last layers", async () => {
    const dora = await convert(
      await scene.adapter("dora", base, { config: { use_dora: true, use_rslora: true, layers_to_transform: [1] } }),
      "mlx",
    );
    expect(dora).toMatchObject({ scale: 4, layers: 1, modules: 3 });
    const back = await convert(dora.output, "peft");
    const name = back.output.slice(back.output.lastIndexOf("/") + 1);
    expect(scene.json(name, "adapter_config.json")).toMatchObject({ use_dora: true, lora_alpha: 16, r: 4, layers_to_transform: [1] });
    expect(readFileSync(join(back.output, "adapter_model.safetensors"))).toEqual(
      readFileSync(scene.path("dora", "adapter_model.safetensors")),
    );
  });

  test.each<[string, Record<string, unknown>]>([
    ["modules_to_save", { modules_to_save: ["lm_head"] }],
    ["trainable_token_indices", { trainable_token_indices: [1] }],
    ["rank_pattern", { rank_pattern: { q_proj: 8 } }],
    ["alpha_pattern", { alpha_pattern: { q_proj: 1 } }],
    ["layers_to_transform", { layers_to_transform: [0] }],
    ["lora_bias", { lora_bias: true }],
    ["alora_invocation_tokens", { alora_invocation_tokens: [1] }],
    ["init_lora_weights", { init_lora_weights: "olora" }],
    ["target_modules", { target_modules: ["q_proj", "lm_head"] }],
    ["target_modules", { target_modules: ".*(0.self_attn.q_proj|1.self_attn.v_proj)" }],
  ])("is refused by name where that form has no word for it: %s", async (feature, config) => {
    const before = scene.names().length;
    const error = await failure(convert(await scene.adapter(`refused-${++made}`, base, { config }), "mlx"));
    expect(error).toMatchObject({ code: "EXPORT_UNSUPPORTED", exitCode: 12 });
    expect(error.problems.map(({ details }) => details?.["feature"])).toContain(feature);
    expect(error.hint).toContain("heirloom merge");
    expect(scene.names()).toHaveLength(before + 1);
  });
});

describe("an adapter of mlx-lm in PEFT's form", () => {
  test("has an alpha that gives the scale, and the layers and names that its file has", async () => {
    const { output } = await convert(await mlxAdapter("plain-mlx", PLAIN, PAIR), "peft", "plain-peft");
    expect(scene.json("plain-peft", "adapter_config.json")).toMatchObject({
      r: 2,
      lora_alpha: 40,
      target_modules: ["self_attn.q_proj"],
      layers_to_transform: [1],
      base_model_name_or_path: "org/model",
      peft_type: "LORA",
    });
    const again = await convertAdapter({ path: output, to: "mlx", base, output: scene.path("plain-again") });
    expect(readFileSync(join(again.output, "adapters.safetensors")).subarray(8 + 300)).toBeDefined();
    expect(again).toMatchObject({ scale: 20, layers: 1 });
  });

  test.each<[string, Record<string, unknown>, Record<string, readonly number[]>, string]>([
    ["a full fine-tuning", { ...PLAIN, fine_tune_type: "full" }, PAIR, "EXPORT_UNSUPPORTED"],
    ["a rank that is none", { ...PLAIN, lora_parameters: { rank: 0, scale: 1, dropout: 0 } }, PAIR, "MLX_ADAPTER_INVALID"],
    ["a rank that is absurd", { ...PLAIN, lora_parameters: { rank: 1e9, scale: 1, dropout: 0 } }, PAIR, "MLX_ADAPTER_INVALID"],
    ["no parameters", { ...PLAIN, lora_parameters: null }, PAIR, "MLX_ADAPTER_INVALID"],
    ["matrices of another rank", PLAIN, { ...PAIR, "model.layers.1.self_attn.q_proj.lora_b": [3, 32] }, "MLX_ADAPTER_INVALID"],
    ["half a pair", PLAIN, { "model.layers.1.self_attn.q_proj.lora_a": [32, 2] }, "MLX_ADAPTER_INVALID"],
    ["lengths without DoRA", PLAIN, { ...PAIR, "model.layers.1.self_attn.q_proj.m": [32] }, "MLX_ADAPTER_INVALID"],
    ["another tensor", PLAIN, { ...PAIR, "lm_head.weight": [4, 32] }, "EXPORT_UNSUPPORTED"],
    ["a module outside the layers", PLAIN, { "lm_head.lora_a": [32, 2], "lm_head.lora_b": [2, 264] }, "EXPORT_UNSUPPORTED"],
    ["no tensors", PLAIN, {}, "MLX_ADAPTER_INVALID"],
    ["PEFT's configuration", { peft_type: "LORA" }, PAIR, "MLX_ADAPTER_INVALID"],
  ])("is refused for %s, with nothing left behind", async (_, config, shapes, code) => {
    const path = await mlxAdapter(`hostile-${++made}`, config, shapes);
    const before = scene.names();
    expect(await failure(convert(path, "peft"))).toMatchObject({ code });
    expect(scene.names()).toEqual(before);
  });

  test("is refused for a run, whose adapter is PEFT's already", async () => {
    mkdirSync(scene.path("run", "adapter"), { recursive: true });
    expect(await failure(convert(scene.path("run"), "peft"))).toMatchObject({
      code: "MLX_ADAPTER_INVALID",
      problems: [{ hint: expect.stringContaining(`use ${scene.path("run", "adapter")} as it is`) }],
    });
    rmSync(scene.path("run"), { recursive: true });
  });

  test("is refused over something else, without weights, and when it is told to stop", async () => {
    const path = await mlxAdapter("stopped-mlx", PLAIN, PAIR);
    expect(await failure(convert(path, "peft", "base"))).toMatchObject({ code: "OUTPUT_EXISTS" });
    const stopped = convertAdapter({ path, to: "peft", output: scene.path("never"), signal: AbortSignal.abort() });
    expect(await failure(stopped)).toMatchObject({ code: "INTERRUPTED" });
    mkdirSync(scene.path("npz"));
    writeFileSync(scene.path("npz", "adapter_config.json"), JSON.stringify(PLAIN));
    expect(await failure(convert(scene.path("npz"), "peft"))).toMatchObject({ code: "FILE_MISSING" });
    expect(scene.names()).not.toContain("never");
  });
});
