import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { resolveConfig } from "../../config/index.ts";
import { type PlanOptions, planRun } from "../index.ts";

const LLAMA = "vectors/configs/llama-3.1-8b.json";
const MEMORY = 64 * 2 ** 30;

function plan(values: Record<string, unknown> = {}, options: Partial<PlanOptions> = {}) {
  const defaults = {
    base: LLAMA,
    adapter: { rank: 32, alpha: 64, modulesToSave: ["embed_tokens", "lm_head"], fullCopyDtype: "bf16" },
    data: { train: "none.jsonl" },
    training: {
      steps: 10,
      learningRate: 1e-4,
      groups: [{ name: "embeddings", match: ["embed_tokens", "lm_head"], learningRateRatio: 0.1 }],
    },
  };
  const { config } = resolveConfig({ inherited: { name: "test", values: { ...defaults, ...values } } });
  return planRun(config, { memoryBytes: MEMORY, ...options });
}

const bytesOf = ({ memory }: Awaited<ReturnType<typeof plan>>) => Object.fromEntries(memory.parts.map(({ part, bytes }) => [part, bytes]));

describe("planRun", () => {
  it("gives the ledger, banner and file size of the 8B run to the digit, from the base's config alone", async () => {
    const result = await plan();
    expect(result.counts).toMatchObject({ basis: "predicted", trainable: 1_134_559_232, all: 9_164_820_480 });
    expect(result.banner).toBe("trainable params: 1,134,559,232 || all params: 9,164,820,480 || trainable%: 12.3795");
    const file = result.files.find(({ file: name }) => name === "adapter/adapter_model.safetensors");
    expect(file?.tensorBytes).toBe(2_436_890_624);
    expect(((file?.bytes ?? 0) / 2 ** 30).toFixed(2)).toBe("2.27");
    expect(result.groups).toEqual([
      { name: "embeddings", learningRate: 1e-5, tensors: 2, parameters: 1_050_673_152 },
      { name: "default", learningRate: 1e-4, tensors: 448, parameters: 83_886_080 },
    ]);
  });

  it("says what training a tied embedding means, and asks for the choice", async () => {
    const tied = join(mkdtempSync(join(tmpdir(), "heirloom-plan-")), "config.json");
    writeFileSync(tied, JSON.stringify({ ...JSON.parse(readFileSync(LLAMA, "utf8")), tie_word_embeddings: true }));
    const adapter = { modulesToSave: ["embed_tokens"] };
    await expect(plan({ base: tied, adapter })).rejects.toMatchObject({ code: "ADAPTER_TIED_CHOICE" });
    const shared = await plan({ base: tied, adapter: { ...adapter, ensureWeightTying: true } });
    const apart = await plan({ base: tied, adapter: { ...adapter, ensureWeightTying: false } });
    const said = ({ warnings }: typeof shared) => warnings.filter(({ code }) => code === "TIED_EMBEDDINGS").map(({ hint }) => hint);
    expect(said(shared)).toEqual([expect.stringContaining("one copy of 525,336,576 parameters as both")]);
    expect(said(apart)).toEqual([expect.stringContaining("the tie is broken")]);
    // Where neither is trained there is nothing to choose.
    expect(said(await plan({ base: tied, adapter: { modulesToSave: [] }, training: { steps: 10 } }))).toEqual([]);
  });

  it("adds memory up by part, and holds gradients and moments of what is trained in fp32", async () => {
    const result = await plan();
    const bytes = bytesOf(result);
    // bf16 masters
    expect(bytes["fullCopies"]).toBe(2 * 1_050_673_152);
    expect(bytes["masters"]).toBe(4 * 83_886_080);
    // Of the embedding, a row of 4,096 for each token of the update.
    expect(bytes["gradients"]).toBe(4 * (83_886_080 + 1_050_673_152 / 2 + 4096 * result.update.tokens));
    expect(bytes["optimizer"]).toBe(8 * 1_134_559_232);
    expect(result.memory.totalBytes).toBe(Object.values(bytes).reduce((sum, n) => sum + n, 0));
    expect(result.memory.parts.every(({ formula }) => formula !== "")).toBe(true);
  });

  it("counts four operations per weight and token, six where activations are computed again", async () => {
    const [kept, again] = [await plan(), await plan({ engine: { activations: "recompute" } })];
    // 6,979,321,856 weights in the linear layers of the blocks.
    const tokens = kept.update.tokens;
    const perWeight = kept.update.flops.base / tokens / 6_979_321_856;
    expect(perWeight).toBeCloseTo(4, 6);
    expect(kept.update.flops.recomputed).toBe(0);
    // Two more, but for the last product of each block (27 % of the weights), which nothing needs again.
    expect(again.update.flops.recomputed / tokens / 6_979_321_856).toBeGreaterThan(1.4);
    expect(bytesOf(again)["activations"]).toBeLessThan((bytesOf(kept)["activations"] ?? 0) / 10);
  });

  it("says what would make it fit, cheapest first, and stops when it does", async () => {
    const { memory, warnings } = await plan({}, { memoryBytes: 32 * 2 ** 30 });
    expect(memory.fits).toBe(false);
    expect(memory.remedies[0]?.settings).toEqual(["engine.activations=recompute"]);
    expect(memory.remedies.at(-1)).toMatchObject({ fits: true });
    expect(memory.remedies.slice(0, -1).every(({ fits }) => !fits)).toBe(true);
    expect(warnings.map(({ code }) => code)).toContain("MEMORY");
    const roomy = await plan({}, { memoryBytes: 2 ** 40 });
    expect(roomy.memory).toMatchObject({ fits: true, remedies: [] });
  });

  it("takes the groups of the copies out with the copies, where nothing else makes the run fit", async () => {
    const { memory } = await plan({}, { memoryBytes: 14 * 2 ** 30 });
    expect(memory.remedies.at(-1)).toMatchObject({ settings: ["adapter.modulesToSave=[]", "training.groups=[]"], fits: true });
  });

  it("warns where a bf16 copy would stand still under nearest rounding, and only there", async () => {
    const [bf16, fp32] = [await plan(), await plan({ adapter: { rank: 32, modulesToSave: ["embed_tokens", "lm_head"] } })];
    // 2⁸ · 1e-5 = 0.00256: the next power of two is 2⁻⁸; P(|w| ≥ 2⁻⁸) for σ = 0.02 is erfc(0.1381) = 0.845.
    expect(bf16.rounding[0]).toMatchObject({ group: "embeddings", threshold: 2 ** -8, deviation: 0.02 });
    expect(bf16.rounding[0]?.lostShare).toBeCloseTo(0.845, 3);
    expect(bf16.warnings.find(({ code }) => code === "BF16_ROUNDING")?.tensors).toEqual([
      "base_model.model.model.embed_tokens.modules_to_save.default.weight",
      "base_model.model.lm_head.modules_to_save.default.weight",
    ]);
    expect(fp32.warnings.filter(({ code }) => code === "BF16_ROUNDING")).toEqual([]);
  });

  it("gives a time only if it is told how fast the machine is", async () => {
    expect(await plan()).toMatchObject({ time: null, timeReason: "unknown: no speed was given" });
    const reason = "unknown: onnxruntime-node is not installed";
    expect(await plan({}, { speed: () => Promise.resolve({ reason }) })).toMatchObject({ time: null, timeReason: reason });
    const rates = { productFlopsPerSecond: 1e12, adamwValuesPerSecond: 1e9, dequantizedPerSecond: 1e9 };
    const { time, update } = await plan({}, { speed: () => Promise.resolve(rates) });
    expect(time?.products).toBeCloseTo(update.flops.total / 0.74e12, 6);
    expect(time?.optimizer).toBeCloseTo(1.134559232, 9);
    expect(time?.run).toBeCloseTo(10 * (time?.perUpdate ?? 0), 6);
  });

  it("names a base without a configuration", async () => {
    await expect(plan({ base: "nowhere" })).rejects.toMatchObject({ code: "FILE_MISSING" });
  });
});
