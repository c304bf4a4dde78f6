import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Llama, LlamaModel, Token } from "node-llama-cpp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadTokenizer } from "../../src/data/index.ts";
import { ExportScene } from "../../src/export/fixtures/scene.ts";
import { exportGguf, type GgufType, importGguf, mergeAdapter } from "../../src/export/index.ts";
import { completeInLlamaCpp, logitsInLlamaCpp, openLlamaCpp, tokensInLlamaCpp } from "./llama-cpp.ts";
import { completeHere, logitsHere } from "./own-model.ts";
import { tokenizerTexts } from "./tokenizer-texts.ts";

/**
 * Twice what was measured against the same weights, imported from the file: llama.cpp keeps keys and values in fp16 and rounds
 * what it multiplies to the weights' type, to 8 bits for Q8_0 (0.0037, 0.0155 and 0.0301 of the logits' size).
 */
const TOLERANCE: Readonly<Record<GgufType, number>> = { f16: 0.0075, bf16: 0.031, q8_0: 0.061 };
const IDS = [1, 70, 104, 80, 35, 200, 263, 5, 99, 150];
const VOCABULARY = 264;

let scene: ExportScene;
let base: string;
let adapter: string;
/** Logits of the merged model and of the base here: what the files are held against. */
let merged: Float32Array[];
let plain: Float32Array[];
let llama: Llama;
beforeAll(async () => {
  llama = await openLlamaCpp();
  scene = new ExportScene();
  base = await scene.model("base", { dtype: "BF16" });
  adapter = await scene.adapter("adapter", base, { config: { target_modules: "all-linear", use_rslora: true } });
  await mergeAdapter({ path: adapter, output: scene.path("merged"), dtype: "fp32" }, { inline: true });
  [merged, plain] = [await logitsHere(scene.path("merged"), IDS), await logitsHere(base, IDS)];
});
afterAll(async () => {
  scene.close();
  await llama.dispose();
});

/** Root of the mean squared difference, as a share of the deviation of the logits. */
function distance(a: readonly Float32Array[], b: readonly Float32Array[]): number {
  let [square, scale] = [0, 0];
  a.forEach((row, t) => {
    row.forEach((value, i) => {
      square += (value - (b[t]?.[i] ?? Number.NaN)) ** 2;
      scale += value ** 2;
    });
  });
  return Math.sqrt(square / scale);
}

async function inLlamaCpp<T>(file: string, work: (model: LlamaModel) => Promise<T>): Promise<T> {
  const model = await llama.loadModel({ modelPath: scene.path(file), gpuLayers: 0 });
  try {
    return await work(model);
  } finally {
    await model.dispose();
  }
}

describe("llama.cpp", () => {
  it.each(["f16", "bf16", "q8_0"] as const)("gives a merged model's logits and greedy answers from its GGUF file (%s)", async (type) => {
    const file = `merged-${type}.gguf`;
    await exportGguf({ path: adapter, output: scene.path(file), type }, { inline: true });
    const [theirs, answer] = await inLlamaCpp(
      file,
      async (model) => [await logitsInLlamaCpp(model, IDS, VOCABULARY), await completeInLlamaCpp(model, IDS, 6)] as const,
    );
    await importGguf(scene.path(file), scene.path(`back-${type}`), { dtype: "fp32" });
    const same = scene.path(`back-${type}`);
    expect(distance(await logitsHere(same, IDS), theirs)).toBeLessThan(TOLERANCE[type]);
    // The merged model is far nearer than the base: the adapter is in the file.
    expect(distance(merged, theirs)).toBeLessThan(distance(plain, theirs) / 4);
    expect(answer).toEqual(await completeHere(same, IDS, 6));
  });

  it("puts a GGUF adapter on its base, with the merged model's logits, and half of it at half the scale", async () => {
    await exportGguf({ path: base, output: scene.path("base.gguf"), type: "bf16" }, { inline: true });
    await exportGguf({ path: adapter, output: scene.path("lora.gguf"), lora: true }, { inline: true });
    const lora = { filePath: scene.path("lora.gguf") };
    const [bare, whole, half] = await inLlamaCpp(
      "base.gguf",
      async (model) =>
        [
          await logitsInLlamaCpp(model, IDS, VOCABULARY),
          await logitsInLlamaCpp(model, IDS, VOCABULARY, { ...lora, scale: 1 }),
          await logitsInLlamaCpp(model, IDS, VOCABULARY, { ...lora, scale: 0.5 }),
        ] as const,
    );
    expect(distance(plain, bare)).toBeLessThan(TOLERANCE.bf16);
    expect(distance(merged, whole)).toBeLessThan(TOLERANCE.bf16);
    expect(distance(merged, half)).toBeGreaterThan(0.1);
  });

  it("splits as a SentencePiece tokenizer here, also where a token lies over itself", async () => {
    const folder = await scene.sentencePieceModel("pieces");
    await exportGguf({ path: folder, output: scene.path("pieces.gguf") }, { inline: true });
    const tokenizer = await loadTokenizer(folder);
    const texts = tokenizerTexts(2000);
    const different = await inLlamaCpp("pieces.gguf", (model) =>
      Promise.resolve(
        texts.filter((text) => tokenizer.encode(text, { addSpecialTokens: false }).join() !== tokensInLlamaCpp(model, text).join()),
      ),
    );
    expect(different).toEqual([]);
  });

  it("ends at every token that generation_config.json names", async () => {
    const folder = await scene.model("ends");
    writeFileSync(join(folder, "generation_config.json"), JSON.stringify({ eos_token_id: [70, 2] }));
    await exportGguf({ path: folder, output: scene.path("ends.gguf") }, { inline: true });
    await exportGguf({ path: base, output: scene.path("no-ends.gguf") }, { inline: true });
    const endsAt70 = (file: string) => inLlamaCpp(file, (model) => Promise.resolve(model.isEogToken(70 as Token)));
    expect([await endsAt70("ends.gguf"), await endsAt70("no-ends.gguf")]).toEqual([true, false]);
  });
});
