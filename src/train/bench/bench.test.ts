import { describe, expect, test } from "vitest";
import { parameterCount } from "../../model/index.ts";
import type { GemmRate } from "./api.ts";
import { estimateModels, nearestRate } from "./estimates.ts";
import { KNOWN_MODELS, specOf } from "./known-models.ts";

const GEMM: readonly GemmRate[] = [
  { inFeatures: 576, outFeatures: 1536, threads: 2, flopsPerSecond: 100e9 },
  { inFeatures: 4096, outFeatures: 4096, threads: 1, flopsPerSecond: 75e9 },
  { inFeatures: 4096, outFeatures: 4096, threads: 2, flopsPerSecond: 150e9 },
];
const SPEED = { productFlopsPerSecond: 1e9, adamwValuesPerSecond: 400e6, dequantizedPerSecond: 1500e6, stepEfficiency: 0.8 };
const ASSUMED = { rank: 16, batchSize: 1, sequence: 512 };
const GIB = 2 ** 30;

describe("well-known models", () => {
  test("have the numbers of parameters that their cards say", () => {
    const counts = Object.fromEntries(KNOWN_MODELS.map((known) => [known.name, parameterCount(specOf(known))]));
    // As transformers counts them on each model's own config.json.
    expect(counts).toEqual({
      "SmolLM2-135M": 134_515_008,
      "SmolLM2-360M": 361_821_120,
      "SmolLM2-1.7B": 1_711_376_384,
      "Llama-3.2-1B": 1_235_814_400,
      "Llama-3.2-3B": 3_212_749_824,
      "Llama-3.1-8B": 8_030_261_248,
      "Qwen2.5-0.5B": 494_032_768,
      "Qwen2.5-1.5B": 1_543_714_304,
      "Qwen2.5-7B": 7_615_616_512,
      "Mistral-7B": 7_248_023_552,
    });
  });

  test("are estimated with the rate of the measured product that is nearest in size, with all threads", () => {
    const rate = (name: string): number => nearestRate(GEMM, specOf(KNOWN_MODELS.find((known) => known.name === name) ?? fail()));
    expect(rate("SmolLM2-135M")).toBe(100e9);
    expect(rate("Llama-3.1-8B")).toBe(150e9);
  });

  test("are estimated twice each; what does not fit says what would make it fit, or that nothing does", async () => {
    const models = await estimateModels(GEMM, SPEED, ASSUMED, 8 * GIB);
    expect(models.map(({ model, method }) => `${model} ${method}`)).toEqual(
      KNOWN_MODELS.flatMap(({ name }) => [`${name} qlora`, `${name} full`]),
    );
    for (const { fits, bytes, remedies } of models) {
      expect(fits).toBe(bytes <= 8 * GIB);
      expect(remedies.length > 0).toBe(!fits);
      if (remedies.at(-1)?.fits === true) expect(remedies.at(-1)?.bytes).toBeLessThanOrEqual(8 * GIB);
    }
    const [small, smallFull] = models;
    expect(small).toMatchObject({ fits: true, trainable: 4_884_480 });
    // A tied base's embedding and head are one tensor, and trained as one: 49,152 × 576 more.
    expect(smallFull?.trainable).toBe(4_884_480 + 28_311_552);
    const last = models.at(-1);
    expect(last).toMatchObject({ model: "Llama-3.1-8B", method: "full", fits: false });
  });

  test("take as long as their products at the rate that a whole step reaches, and what is measured besides", async () => {
    const [fast, slow] = await Promise.all(
      [0.8, 0.4].map((stepEfficiency) => estimateModels(GEMM, { ...SPEED, stepEfficiency }, ASSUMED, 64 * GIB)),
    );
    const [a, b] = [fast?.[0], slow?.[0]];
    const products = (b?.secondsPerUpdate ?? 0) - (a?.secondsPerUpdate ?? 0);
    expect(a?.secondsPerUpdate).toBeGreaterThan(products);
    expect(a?.secondsPerUpdate).toBeLessThan(1.2 * products);
    expect(a?.tokensPerSecond).toBeCloseTo(512 / (a?.secondsPerUpdate ?? 1), 6);
  });
});

function fail(): never {
  throw new RangeError("no such model");
}
