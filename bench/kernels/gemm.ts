// How fast this machine multiplies matrices, and so what a training step cannot beat: the products of all base
// weights alone, forward (y = x·Wᵀ) and for the gradient of the input (dx = dy·W), as the engine runs them.
//
//   npm run bench -- gemm [--config bench/configs/smollm2-135m.json] [--rows 1024] [--rounds 5] [--threads 2] [--json FILE]
//   npm run bench -- gemm --shapes 1024x576x1536,256x8192x2048      (M x N x K: M rows, W [N,K])
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { allocateTensor, gemm, graph, input, loadRuntime, type Program, type Runtime } from "../../src/compute/index.ts";
import { InternalError } from "../../src/core/index.ts";
import { modelModules, parseModelConfig } from "../../src/model/index.ts";
import { type Spread, spread, writeKernelReport } from "../steps/report.ts";

/** A weight [n,k] that meets m rows, `count` times in a model. */
export interface GemmShape {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly count: number;
}

export interface GemmTiming extends GemmShape {
  /** y [m,n] = x [m,k] · Wᵀ, ms per product. */
  readonly forward: Spread;
  /** dx [m,k] = dy [m,n] · W, ms per product. */
  readonly inputGradient: Spread;
}

/** As many weights per shape, in turn, as the last-level cache cannot hold: a layer's weights are cold when it is reached. */
const COLD_BYTES = 96 * 2 ** 20;

const gigaflops = ({ m, n, k }: GemmShape, ms: number): number => (2 * m * n * k) / (ms * 1e6);

/** The linear layers of a model as shapes, equal ones counted together. */
function shapesOfModel(configPath: string, m: number): readonly GemmShape[] {
  const spec = parseModelConfig(JSON.parse(readFileSync(configPath, "utf8")), configPath);
  const counts = new Map<string, GemmShape>();
  for (const { kind, shape } of modelModules(spec)) {
    if (kind !== "Linear") continue;
    const [n, k] = shape as readonly [number, number];
    counts.set(`${n}x${k}`, { m, n, k, count: (counts.get(`${n}x${k}`)?.count ?? 0) + 1 });
  }
  return [...counts.values()];
}

function parseShapes(text: string): readonly GemmShape[] {
  return text.split(",").map((part) => {
    const [, m, n, k] = /^(\d+)x(\d+)x(\d+)$/.exec(part) ?? [];
    if (k === undefined) throw new InternalError(`--shapes: expected MxNxK, found ${part}`);
    return { m: Number(m), n: Number(n), k: Number(k), count: 1 };
  });
}

interface Subject {
  readonly shape: GemmShape;
  /** Once over every weight of the ring; ms per product. */
  readonly forward: () => Promise<number>;
  readonly inputGradient: () => Promise<number>;
}

async function prepare(runtime: Runtime, shape: GemmShape, threads: number): Promise<Subject> {
  const { m, n, k, count } = shape;
  const w = input("w", [n, k]);
  const forward = await runtime.compile(graph({ outputs: { y: gemm(input("x", [m, k]), w, { transB: true }) } }), { threads });
  const backward = await runtime.compile(graph({ outputs: { dx: gemm(input("dy", [m, n]), w) } }), { threads });
  const filled = (length: number): Float32Array => Float32Array.from({ length }, (_, i) => ((i * 37) % 101) / 101 - 0.5);
  const weights = Array.from({ length: Math.min(count, Math.ceil(COLD_BYTES / (4 * n * k))) }, () => filled(n * k));
  const ring = (program: Program, from: string, to: string): (() => Promise<number>) => {
    const type = (name: string) => program.inputs[name] ?? program.outputs[name] ?? { shape: [], dtype: "float32" as const };
    const [source, target] = [allocateTensor(type(from)), allocateTensor(type(to))];
    source.set(filled(source.length) as never);
    return async () => {
      const start = performance.now();
      for (const weight of weights) await program.run({ [from]: source, w: weight }, { [to]: target });
      return (performance.now() - start) / weights.length;
    };
  };
  return { shape, forward: ring(forward, "x", "y"), inputGradient: ring(backward, "dy", "dx") };
}

/** Times every shape in every round, one after the other, so that a drift of the machine meets all alike. */
async function measureGemm(
  runtime: Runtime,
  shapes: readonly GemmShape[],
  rounds: number,
  threads: number,
): Promise<readonly GemmTiming[]> {
  const timings: GemmTiming[] = [];
  const subjects = await Promise.all(shapes.map((shape) => prepare(runtime, shape, threads)));
  const samples = subjects.map(() => ({ forward: [] as number[], inputGradient: [] as number[] }));
  for (let round = -1; round < rounds; round++) {
    for (const [i, { forward, inputGradient }] of subjects.entries()) {
      const [forwardMs, gradientMs] = [await forward(), await inputGradient()];
      if (round < 0) continue; // page faults and sleeping threads: a warm-up
      samples[i]?.forward.push(forwardMs);
      samples[i]?.inputGradient.push(gradientMs);
    }
  }
  for (const [i, { shape }] of subjects.entries()) {
    const { forward = [], inputGradient = [] } = samples[i] ?? {};
    timings.push({ ...shape, forward: spread(forward), inputGradient: spread(inputGradient) });
  }
  return timings;
}

function print(timings: readonly GemmTiming[], rows: number): number {
  console.log("| M,N,K | times | forward ms (min – max) | GFLOP/s | dX ms (min – max) | GFLOP/s |\n| --- | --- | --- | --- | --- | --- |");
  for (const timing of timings) {
    const cells = [timing.forward, timing.inputGradient].map(
      (ms) => `${ms.median.toFixed(2)} (${ms.min.toFixed(2)} – ${ms.max.toFixed(2)}) | ${gigaflops(timing, ms.median).toFixed(0)}`,
    );
    console.log(`| ${timing.m},${timing.n},${timing.k} | ${timing.count} | ${cells.join(" | ")} |`);
  }
  const seconds = timings.reduce(
    (sum, { count, forward, inputGradient }) => sum + (count * (forward.median + inputGradient.median)) / 1000,
    0,
  );
  console.log(`\nAll products: ${seconds.toFixed(2)} s for ${rows} rows; at most ${(rows / seconds).toFixed(0)} tokens/s.`);
  return seconds;
}

/** The benchmark as `npm run bench -- gemm` runs it. */
export async function gemmBench(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      config: { type: "string", default: "bench/configs/smollm2-135m.json" },
      shapes: { type: "string" },
      rows: { type: "string", default: "1024" },
      rounds: { type: "string", default: "5" },
      threads: { type: "string", default: "2" },
      json: { type: "string" },
    },
  });
  const shapes = values.shapes === undefined ? shapesOfModel(values.config, Number(values.rows)) : parseShapes(values.shapes);
  const runtime = await loadRuntime();
  const timings = await measureGemm(runtime, shapes, Number(values.rounds), Number(values.threads));
  const rows = shapes[0]?.m ?? 0;
  const seconds = print(timings, rows);
  await writeKernelReport(values.json, {
    onnxruntime: runtime.version,
    threads: Number(values.threads),
    rows,
    seconds,
    tokensPerSecond: rows / seconds,
    timings,
  });
}
