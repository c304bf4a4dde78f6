import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { encodeSafetensors, loraPeftConfig, type SafetensorsDtype, serializePeftConfig } from "../../formats/index.ts";
import { RECIPE_TOOLS, writeRecipe } from "../index.ts";

const PREFIX = "base_model.model.";
const CHECKPOINT = "vectors/hf-trainer-checkpoint/run/checkpoint-10";
let folder: string;

async function writeAdapter(
  name: string,
  config: Parameters<typeof loraPeftConfig>[0],
  tensors: Readonly<Record<string, readonly [SafetensorsDtype, readonly number[]]>>,
): Promise<string> {
  const path = join(folder, name);
  await mkdir(path);
  const stated = { baseModelNameOrPath: "owner/base", r: 2, loraAlpha: 4, targetModules: ["q_proj"], ...config };
  await writeFile(join(path, "adapter_config.json"), serializePeftConfig(loraPeftConfig(stated)));
  const plan = Object.entries(tensors).map(([key, [dtype, shape]]) => ({
    name: PREFIX + key,
    dtype,
    shape,
    chunks: () => [new Uint8Array(shape.reduce((n, d) => n * d, dtype === "F32" ? 4 : 2))],
  }));
  const chunks: Uint8Array[] = [];
  for await (const chunk of encodeSafetensors(plan, { format: "pt" })) chunks.push(chunk);
  await writeFile(join(path, "adapter_model.safetensors"), Buffer.concat(chunks));
  return path;
}

const LORA = Object.fromEntries(
  [0, 1, 2].flatMap((layer) => [
    [`model.layers.${layer}.self_attn.q_proj.lora_A.weight`, ["F32", [2, 8]]],
    [`model.layers.${layer}.self_attn.q_proj.lora_B.weight`, ["F32", [8, 2]]],
  ]),
) as Record<string, [SafetensorsDtype, number[]]>;
const COPIES = {
  "model.embed_tokens.weight": ["BF16", [16, 8]],
  "lm_head.weight": ["BF16", [16, 8]],
} as Record<string, [SafetensorsDtype, number[]]>;
const RATED = {
  schemaVersion: 1,
  run: "r",
  step: 3,
  base: { path: "owner/base", fingerprint: { method: "sha256", value: "0" } },
  config: {
    base: "owner/base",
    adapter: {},
    engine: {},
    quantization: { type: "nf4", doubleQuant: true },
    data: { maxLength: 64 },
    training: {
      learningRate: 1e-3,
      weightDecay: 0,
      betas: [0.9, 0.99],
      epsilon: 1e-6,
      maxGradNorm: null,
      schedule: "cosine",
      batchSize: 3,
      accumulation: 2,
      seed: 7,
      groups: [{ name: "embeddings", match: ["embed_tokens", "lm_head"], learningRateRatio: 0.1, learningRate: null, weightDecay: null }],
    },
  },
  evaluations: [],
};
let rated: string;
let bare: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "heirloom-recipe-"));
  bare = await writeAdapter("bare", {}, LORA);
  rated = await writeAdapter("rated", { modulesToSave: ["embed_tokens", "lm_head"] }, { ...LORA, ...COPIES });
  const trainable = Object.keys({ ...LORA, ...COPIES }).map((key) => ({
    name:
      key in COPIES
        ? PREFIX + key.replace(".weight", ".modules_to_save.default.weight")
        : PREFIX + key.replace(".weight", ".default.weight"),
    group: key in COPIES ? "embeddings" : "default",
  }));
  await writeFile(join(rated, "heirloom.json"), JSON.stringify({ ...RATED, trainable }));
});
afterAll(() => rm(folder, { recursive: true }));

/** Brackets of all kinds close in order, outside of strings and comments: what can be said of Python without Python. */
function bracketsBalance(python: string): boolean {
  const open: string[] = [];
  const bare = python.replace(/"""[\s\S]*?"""|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'/g, "''").replace(/#.*$/gm, "");
  for (const character of bare) {
    if ("([{".includes(character)) open.push(character);
    const closes = ")]}".indexOf(character);
    if (closes >= 0 && open.pop() !== "([{"[closes]) return false;
  }
  return open.length === 0;
}

describe("writeRecipe", () => {
  it("prints a guard with every trained tensor, layers of one shape in one row", async () => {
    const { files, trained, tool } = await writeRecipe({ adapter: rated, tool: null });
    const text = files[0]?.text ?? "";
    expect(tool).toBeNull();
    expect(trained).toEqual({ tensors: 8, parameters: 3 * 32 + 256 });
    expect(text).toContain(`("base_model.model.model.layers.{}.self_attn.q_proj.lora_A.weight", range(0, 3), (2, 8), 4, "default"),`);
    expect(text).toContain(`("base_model.model.lm_head.weight", None, (16, 8), 2, "embeddings"),`);
    expect(text).toContain("raise SystemExit");
    expect(bracketsBalance(text)).toBe(true);
  });

  it.each(["peft", "trl", "unsloth"] as const)("writes the groups, precision and guard into the script for %s", async (tool) => {
    const { files, start, run } = await writeRecipe({ adapter: rated, tool });
    const text = files[0]?.text ?? "";
    expect(start).toBe("weights");
    expect(run).toBe(`python ${files[0]?.name ?? ""}`);
    expect(text).toContain(`"default": (0.001, 0),\n    "embeddings": (0.0001, 0),`);
    expect(text).toContain("BETAS, EPSILON = (0.9, 0.99), 0.000001");
    expect(text).toContain("QUANTIZED = True");
    expect(text).toContain("max_grad_norm=0,");
    expect(text).toContain("callbacks=[HeirloomGuard()]");
    expect(text).toContain("heirloom_guard(model)");
    expect(bracketsBalance(text)).toBe(true);
    // What was found wrong in each tool is worked around.
    if (tool === "unsloth") expect(text).toContain("p.requires_grad_(heirloom_key(name) in trained)");
    else {
      expect(text).toContain("is_trainable=True");
      expect(text.indexOf("model = prepare_model_for_kbit_training(model)")).toBeLessThan(
        text.indexOf("model = PeftModel.from_pretrained("),
      );
    }
  });

  it("resumes a Trainer checkpoint with the plan and the optimizer groups that it has", async () => {
    const { files, start } = await writeRecipe({ adapter: CHECKPOINT, tool: "peft" });
    const text = files[0]?.text ?? "";
    expect(start).toBe("checkpoint");
    expect(text).toContain("CHECKPOINT = ADAPTER");
    expect(text).toMatch(/"decay": \(0\.001, 0\),\n {4}"no_decay": \(0\.001, 0\),/);
    expect(text).toMatch(/max_steps=\d+,/);
  });

  it("writes YAML that reads back for Axolotl, with the copies' own rate and the guard as a plugin", async () => {
    const { files } = await writeRecipe({ adapter: rated, tool: "axolotl" });
    expect(files.map(({ name }) => name)).toEqual(["continue.yaml", "heirloom_guard.py"]);
    expect(parse(files[0]?.text ?? "")).toMatchObject({
      base_model: "owner/base",
      lora_model_dir: rated,
      adapter: "qlora",
      lora_modules_to_save: ["embed_tokens", "lm_head"],
      learning_rate: 1e-3,
      embedding_lr: 1e-4,
      plugins: ["heirloom_guard.HeirloomPlugin"],
    });
    expect(bracketsBalance(files[1]?.text ?? "")).toBe(true);
    // PyYAML reads 1e-8 as text, and LlamaFactory then stops in the optimizer.
    expect(files[0]?.text).toContain("adam_epsilon: 0.000001");
    const { files: defaults } = await writeRecipe({ adapter: bare, tool: "llama-factory" });
    expect(defaults[0]?.text).toContain("adam_epsilon: 1.0e-8");
    expect(defaults[0]?.text).toContain("bf16: true");
  });

  it("refuses by name what a tool cannot express", async () => {
    await expect(writeRecipe({ adapter: rated, tool: "llama-factory" })).rejects.toMatchObject({
      code: "RECIPE_UNSUPPORTED",
      exitCode: 12,
      problems: [{ where: "llama-factory: groups", details: { tool: "llama-factory", feature: "groups" } }],
    });
    const lmHead = { "lm_head.lora_A.weight": ["F32", [2, 8]], "lm_head.lora_B.weight": ["F32", [16, 2]] } as typeof LORA;
    const embeddings = { "model.embed_tokens.weight": ["BF16", [16, 8]] } as typeof LORA;
    // Axolotl gives LoRA matrices of lm_head the copies' rate, and reads a rate of 0 as none.
    const onHead = await writeAdapter(
      "on-head",
      { targetModules: ["q_proj", "lm_head"], modulesToSave: ["embed_tokens"] },
      { ...LORA, ...lmHead, ...embeddings },
    );
    const still = await writeAdapter("still", { modulesToSave: ["embed_tokens"] }, { ...LORA, ...embeddings });
    for (const [path, tensors, rate] of [
      [onHead, { ...LORA, ...lmHead, ...embeddings }, 0.1],
      [still, { ...LORA, ...embeddings }, 0],
    ] as const) {
      const trainable = Object.keys(tensors).map((key) => ({
        name:
          PREFIX +
          (key in embeddings ? key.replace(".weight", ".modules_to_save.default.weight") : key.replace(".weight", ".default.weight")),
        group: key in embeddings ? "embeddings" : "default",
      }));
      const group = { name: "embeddings", match: ["embed_tokens"], learningRateRatio: rate, learningRate: null, weightDecay: null };
      const training = { ...RATED.config.training, groups: [group] };
      await writeFile(join(path, "heirloom.json"), JSON.stringify({ ...RATED, config: { ...RATED.config, training }, trainable }));
    }
    for (const [adapter, feature] of [
      [onHead, "groups"],
      [still, "learningRate"],
    ] as const)
      await expect(writeRecipe({ adapter, tool: "axolotl" })).rejects.toMatchObject({ problems: [{ details: { feature } }] });
    const pissa = await writeAdapter("pissa", { initLoraWeights: "pissa" }, LORA);
    for (const tool of RECIPE_TOOLS)
      await expect(writeRecipe({ adapter: pissa, tool })).rejects.toMatchObject({ code: "RECIPE_UNSUPPORTED" });
  });

  it("continues an adapter of one rate with LlamaFactory, and leaves no unknown rate to a default", async () => {
    const { files, notes } = await writeRecipe({ adapter: bare, tool: "llama-factory" });
    expect(parse(files[0]?.text ?? "")).toMatchObject({ adapter_name_or_path: bare, create_new_adapter: false, learning_rate: null });
    expect(notes.join("\n")).toContain("no file says the learning rate of default");
    const python = (await writeRecipe({ adapter: bare, tool: "peft" })).files[0]?.text ?? "";
    expect(python).toContain(`"default": (None, 0),`);
  });

  it("asks for the base where the adapter names none, and keeps hostile names inside their literals", async () => {
    const nameless = await writeAdapter("nameless", { baseModelNameOrPath: null }, LORA);
    await expect(writeRecipe({ adapter: nameless, tool: "peft" })).rejects.toMatchObject({ code: "RECIPE_INCOMPLETE" });
    const hostile = await writeRecipe({ adapter: nameless, tool: "peft", base: 'x"\nimport os\u202e' });
    expect(hostile.files[0]?.text).toContain(`BASE = "x\\"\\U0000000aimport os\\U0000202e"`);
  });
});
