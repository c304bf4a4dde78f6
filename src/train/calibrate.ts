import { dequantizeNf4, quantizeNf4 } from "../codecs/index.ts";
import { gemm, graph, input, loadRuntime, type Program } from "../compute/index.ts";
import type { Fp32Parameter, Parameter } from "../engine/index.ts";
import type { ModelSpec } from "../model/index.ts";
import { type Compile, OPTIMIZERS } from "./optimizers/index.ts";

/** What this machine does per second at the three things that an update's time goes into. */
export interface MachineRates {
  readonly productFlopsPerSecond: number;
  readonly adamwValuesPerSecond: number;
  readonly dequantizedPerSecond: number;
}

/** The whole measurement takes two seconds: products most of it, because their rate needs warm threads. */
const BUDGET_MS = { products: 1300, adamw: 350, dequantization: 350 };
/** Rows and widths beyond these change the rate little and cost time to fill. */
const MOST = { rows: 512, width: 4096 };
const VALUES = 2 ** 20;

/** Work done per second: the best of the rounds after the first, as others on the machine only take away. */
export async function bestRate(work: number, budgetMs: number, round: () => Promise<void> | void): Promise<number> {
  await round();
  const began = performance.now();
  let fastest = Number.POSITIVE_INFINITY;
  do {
    const start = performance.now();
    await round();
    fastest = Math.min(fastest, performance.now() - start);
  } while (performance.now() - began < budgetMs);
  return (1000 * work) / fastest;
}

/** Values between −0.5 and 0.5 that repeat after a thousand. */
export function filled(length: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => ((i * 2654435761) % 1000) / 1000 - 0.5);
}

/** A parameter of a size that no cache holds. */
function probe(): Fp32Parameter {
  const name = "calibration";
  return {
    name,
    diskName: name,
    module: name,
    keys: [],
    role: "lora_A",
    shape: [VALUES],
    layout: "as-stored",
    masterDtype: "F32",
    values: filled(VALUES),
    gradient: filled(VALUES),
  };
}

/** FLOPs per second of a fp32 Gemm of a model's widths, with warm threads. @throws PEER_MISSING */
export async function productRate(
  spec: Pick<ModelSpec, "hiddenSize" | "intermediateSize">,
  threads: number | null,
  budgetMs = BUDGET_MS.products,
): Promise<number> {
  const runtime = await loadRuntime();
  const inner = Math.min(MOST.width, spec.hiddenSize);
  const outer = Math.min(MOST.width, spec.intermediateSize);
  const y = gemm(input("x", [MOST.rows, inner]), input("w", [outer, inner]), { transB: true });
  const program = await runtime.compile(graph({ outputs: { y } }), { name: "calibration", ...(threads === null ? {} : { threads }) });
  try {
    const feeds = { x: filled(MOST.rows * inner), w: filled(outer * inner) };
    const outputs = { y: new Float32Array(MOST.rows * outer) };
    return await bestRate(2 * MOST.rows * inner * outer, budgetMs, () => program.run(feeds, outputs));
  } finally {
    await program.dispose();
  }
}

/** Updates of a parameter by AdamW, in values per second. */
async function adamwRate(parameter: Parameter, threads: number | null): Promise<number> {
  const runtime = await loadRuntime();
  const programs = new Map<string, Promise<Program>>();
  const compile: Compile = (name, make) => {
    const program = programs.get(name) ?? runtime.compile(make(), { name, ...(threads === null ? {} : { threads }) });
    programs.set(name, program);
    return program;
  };
  const optimizer = OPTIMIZERS.adamw([{ parameter, group: "default", weightDecay: 0 }], { betas: [0.9, 0.999], epsilon: 1e-8 }, compile);
  const rates = new Map([["default", 1e-6]]);
  try {
    return await bestRate(VALUES, BUDGET_MS.adamw, () => optimizer.update(rates, 1, () => undefined));
  } finally {
    for (const program of programs.values()) await (await program).dispose();
  }
}

/**
 * Measures for two seconds what this machine does per second, for a model's shapes.
 *
 * @throws PEER_MISSING if onnxruntime-node is not installed
 */
export async function calibrate(
  spec: Pick<ModelSpec, "hiddenSize" | "intermediateSize">,
  threads: number | null = null,
): Promise<MachineRates> {
  const productFlopsPerSecond = await productRate(spec, threads);
  const parameter = probe();
  const adamwValuesPerSecond = await adamwRate(parameter, threads);
  const packed = quantizeNf4(parameter.values, { shape: [VALUES] });
  const out = new Float32Array(VALUES);
  const dequantizedPerSecond = await bestRate(VALUES, BUDGET_MS.dequantization, () => dequantizeNf4(packed, out));
  return { productFlopsPerSecond, adamwValuesPerSecond, dequantizedPerSecond };
}
