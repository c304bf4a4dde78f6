import { availableParallelism } from "node:os";
import { loadRuntime } from "../../compute/index.ts";
import { HeirloomError } from "../../core/index.ts";
import { machineEnvironment } from "../../runs/index.ts";
import { bestRate, calibrate, filled, productRate } from "../calibrate.ts";
import { VERSION } from "../version.ts";
import type { BenchRequest, BenchResult, GemmRate } from "./api.ts";
import { estimateModels, nearestRate, RANK } from "./estimates.ts";
import { MEASURED_MODEL, specOf } from "./known-models.ts";
import { measureStep } from "./small-step.ts";

/** The products that are measured: up-projections of a 135M, a 1B and (cut at 4,096 columns) an 8B model. */
const WIDTHS = [
  { hiddenSize: 576, intermediateSize: 1536 },
  { hiddenSize: 2048, intermediateSize: 8192 },
  { hiddenSize: 4096, intermediateSize: 14336 },
] as const;
/** Columns beyond these change the rate little; see `productRate`. */
const MOST_WIDTH = 4096;
/** Each product's time: all of them together stay below ten seconds. */
const GEMM_MS = 700;
/** Values of each of the two arrays that memory is measured with: 64 MiB, more than caches hold. */
const COPIED_VALUES = 16 * 2 ** 20;
const COPY_MS = 300;
const SEQUENCE = 512;

/** What is told while it is measured. */
export interface BenchEvent {
  readonly type: "note";
  readonly message: string;
}

/** What the measurement may do besides computing. */
export interface BenchContext {
  emit(event: BenchEvent): void;
  stopRequested(): boolean;
}

async function gemmRates(threads: number | null, stopRequested: () => boolean): Promise<GemmRate[]> {
  const most = threads ?? availableParallelism();
  const rates: GemmRate[] = [];
  for (const widths of WIDTHS) {
    for (const count of most === 1 ? [1] : [1, most]) {
      if (stopRequested()) throw stopped();
      // As the runs that are estimated: without a number, the runtime takes one thread per physical core.
      const flopsPerSecond = await productRate(widths, count === most ? threads : count, GEMM_MS);
      const [inFeatures, outFeatures] = [Math.min(MOST_WIDTH, widths.hiddenSize), Math.min(MOST_WIDTH, widths.intermediateSize)];
      rates.push({ inFeatures, outFeatures, threads: count, flopsPerSecond });
    }
  }
  return rates;
}

function stopped(): HeirloomError {
  return new HeirloomError("INTERRUPTED", "stopped before everything was measured", { hint: "heirloom bench" });
}

/** Bytes read and written by a copy. */
function copyRate(): Promise<number> {
  const [from, to] = [filled(COPIED_VALUES), new Float32Array(COPIED_VALUES)];
  return bestRate(2 * from.byteLength, COPY_MS, () => to.set(from));
}

/**
 * Measures this machine in under half a minute, and estimates what well-known models would need and do on it.
 *
 * @throws PEER_MISSING, INTERRUPTED
 */
export async function bench(request: BenchRequest, { emit, stopRequested }: BenchContext): Promise<BenchResult> {
  const began = performance.now();
  const { memoryBytes, threads, sequence = SEQUENCE } = request;
  const { version, outputCopy } = await loadRuntime();
  const tell = (message: string): void => emit({ type: "note", message });
  tell("measuring products");
  const gemm = await gemmRates(threads, stopRequested);
  tell("measuring the optimizer, dequantization and memory");
  const measured = specOf(MEASURED_MODEL);
  const rates = await calibrate(measured, threads);
  const copiedBytesPerSecond = await copyRate();
  tell("measuring a step of a small model");
  const speed = { ...rates, productFlopsPerSecond: Math.max(rates.productFlopsPerSecond, nearestRate(gemm, measured)) };
  const step = await measureStep(speed, threads, stopRequested);
  if (stopRequested()) throw stopped();
  const assumed = { rank: RANK, batchSize: 1, sequence };
  const models = await estimateModels(gemm, { ...speed, stepEfficiency: step.efficiency }, assumed, memoryBytes);
  return {
    machine: { heirloom: VERSION, onnxruntime: version, outputCopy, ...machineEnvironment() },
    memoryBytes,
    gemm,
    rates,
    copiedBytesPerSecond,
    step,
    assumed,
    models,
    seconds: (performance.now() - began) / 1000,
  };
}
