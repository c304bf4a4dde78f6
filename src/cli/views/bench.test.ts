import { expect, test } from "vitest";
import type { BenchResult } from "../../train/index.ts";
import { paint } from "../terminal/index.ts";
import { benchView } from "./bench.ts";

const GIB = 2 ** 30;
const estimate = { model: "Some-1B", parameters: 1e9, trainable: 1e7, tokensPerSecond: 30.25, secondsPerUpdate: 17, remedies: [] };
const RESULT: BenchResult = {
  machine: { cpu: "a processor", cores: 2, onnxruntime: "1.30.0", outputCopy: "avoided" },
  memoryBytes: 8 * GIB,
  gemm: [
    { inFeatures: 576, outFeatures: 1536, threads: 1, flopsPerSecond: 75e9 },
    { inFeatures: 576, outFeatures: 1536, threads: 2, flopsPerSecond: 150e9 },
  ],
  rates: { productFlopsPerSecond: 150e9, adamwValuesPerSecond: 400e6, dequantizedPerSecond: 1500e6 },
  copiedBytesPerSecond: 12.34e9,
  step: { model: "a small model", tokens: 512, seconds: 0.5, tokensPerSecond: 1024, efficiency: 0.8 },
  assumed: { rank: 16, batchSize: 1, sequence: 512 },
  models: [
    { ...estimate, method: "qlora", bytes: 3 * GIB, fits: true },
    {
      ...estimate,
      method: "full",
      bytes: 9 * GIB,
      fits: false,
      remedies: [{ settings: ["engine.dequantizedCache=off"], bytes: 7 * GIB, fits: true }],
    },
    { ...estimate, model: "Some-8B", method: "qlora", bytes: 20 * GIB, fits: false, remedies: [] },
  ],
  seconds: 17,
};

test("bench says the machine's rates, the way of outputs, and of each model whether it fits and what would make it", () => {
  const text = benchView(RESULT, { paint: paint(false), columns: 200, limit: null });
  for (const part of [
    "a processor, 2 cores, 8.00 GiB",
    "copies of outputs avoided",
    "1,500 million weights dequantized/s",
    "400 million parameters/s",
    "80 % of its products' rate",
    "576 × 1536",
    "75 GFLOP/s",
    "150 GFLOP/s",
    "--set engine.dequantizedCache=off: 7.00 GiB",
    "needs a machine with more memory",
  ])
    expect(text).toContain(part);
  expect(text).toMatch(/Some-1B +QLoRA +30\.3 +3\.00 GiB +yes/);
});
