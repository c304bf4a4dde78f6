// train/bench: what this machine does per second, and what well-known models would need and do on it.
// Knows shapes, plans and one step of a small model in memory; reads no file and downloads nothing.
import { runJob } from "../../core/node/index.ts";
import type { BenchRequest, BenchResult } from "./api.ts";
import type { BenchEvent } from "./bench.ts";
import { benchJob } from "./bench-worker.ts";

export type { BenchRequest, BenchResult, GemmRate, MeasuredStep, ModelEstimate } from "./api.ts";
export type { BenchEvent } from "./bench.ts";

/** How a measurement is watched. */
export interface BenchOptions {
  readonly onEvent?: (event: BenchEvent) => void;
  /** When it aborts, the measurement ends with INTERRUPTED. */
  readonly signal?: AbortSignal;
}

/**
 * Measures this machine in under half a minute, and estimates what well-known models would need and do on it.
 *
 * @throws PEER_MISSING, INTERRUPTED
 */
export function benchMachine(request: BenchRequest, options: BenchOptions = {}): Promise<BenchResult> {
  return runJob(benchJob, request, options);
}
