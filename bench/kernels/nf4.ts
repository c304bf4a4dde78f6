// NF4 kernels on one core, in million weights per second: median and range of the runs. Equal output is proved by
// src/codecs/nf4.parity.test.ts.
//
//   npm run bench -- nf4 [--json FILE]
import { parseArgs } from "node:util";
import { dequantizeNf4, f32ToBf16Stochastic, quantizeNf4 } from "../../src/codecs/index.ts";
import { RandomStream } from "../../src/core/index.ts";
import { type Spread, spread, writeKernelReport } from "../steps/report.ts";

/** The linear layers of SmolLM2-135M: one attention projection, one MLP matrix; and one of Llama-3.1-8B. */
const SHAPES: readonly (readonly [number, number])[] = [
  [576, 576],
  [1536, 576],
  [4096, 4096],
];
const RUNS = 9;
/** Weights per run, so that a run takes about 0.1 s and a timer's steps do not count. */
const WEIGHTS_PER_RUN = 40_000_000;

interface Rate {
  readonly kernel: string;
  readonly shape: string;
  readonly millionWeightsPerSecond: Spread;
}

/** Million weights per second of each run of `work`, which handles `weights` per call. */
function rates(weights: number, work: () => void): number[] {
  const calls = Math.max(1, Math.round(WEIGHTS_PER_RUN / weights));
  work();
  return Array.from({ length: RUNS }, () => {
    const start = performance.now();
    for (let call = 0; call < calls; call++) work();
    return (weights * calls) / (performance.now() - start) / 1000;
  });
}

function measureNf4(): Rate[] {
  return SHAPES.flatMap(([rows, columns]) => {
    const weights = rows * columns;
    const random = new RandomStream(1, "nf4 bench");
    const values = Float32Array.from({ length: weights }, () => random.nextFloat() - 0.5);
    const tensor = quantizeNf4(values, { shape: [rows, columns] });
    const out = new Float32Array(weights);
    const half = new Uint16Array(weights);
    const kernels: Record<string, () => void> = {
      dequantize: () => dequantizeNf4(tensor, out),
      quantize: () => void quantizeNf4(values),
      "stochastic rounding to bf16": () => void f32ToBf16Stochastic(values, half, { seed: 1, stream: "w", step: 1 }),
    };
    return Object.entries(kernels).map(([kernel, work]) => ({
      kernel,
      shape: `${rows}x${columns}`,
      millionWeightsPerSecond: spread(rates(weights, work)),
    }));
  });
}

/** The benchmark as `npm run bench -- nf4` runs it. */
export async function nf4Bench(args: string[]): Promise<void> {
  const { values } = parseArgs({ args, options: { json: { type: "string" } } });
  const results = measureNf4();
  console.log("| kernel | shape | M weights/s (min – max) |\n| --- | --- | --- |");
  for (const { kernel, shape, millionWeightsPerSecond: rate } of results)
    console.log(`| ${kernel} | ${shape} | ${rate.median.toFixed(0)} (${rate.min.toFixed(0)} – ${rate.max.toFixed(0)}) |`);
  await writeKernelReport(values.json, {
    results,
  });
}
