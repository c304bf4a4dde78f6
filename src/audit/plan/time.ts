import type { PlannedFlops } from "./flops.ts";

/** What a machine was measured to do; see `calibrate` in train. */
export interface MachineSpeed {
  /** Of large fp32 matrix products. */
  readonly productFlopsPerSecond: number;
  readonly adamwValuesPerSecond: number;
  /** NF4 weights turned into fp32. */
  readonly dequantizedPerSecond: number;
  /** Share of the products' rate that a whole step of the engine reaches here. @defaultValue as measured once, on two cores */
  readonly stepEfficiency?: number;
}

/** Estimated time of an update; every figure in seconds. */
export interface PlannedTime {
  readonly perUpdate: number;
  readonly products: number;
  readonly optimizer: number;
  readonly dequantization: number;
  readonly tokensPerSecond: number;
  /** Of the whole run; null if the number of updates depends on the data. */
  readonly run: number | null;
}

/**
 * Share of the pure products' rate that a whole step reaches: 207 tokens/s where
 * products alone would give 280 (SmolLM2-135M's shape, 2 × 512, two cores).
 */
const STEP_EFFICIENCY = 0.74;

/** What an update consists of. */
export interface UpdateWork {
  readonly flops: PlannedFlops;
  readonly tokens: number;
  readonly trainedValues: number;
  /** Weights that are dequantized in an update: once forward and once backward per micro-batch. */
  readonly dequantized: number;
  readonly updates: number | null;
}

/** Seconds per update from operations and a machine's measured rates. */
export function plannedTime(work: UpdateWork, speed: MachineSpeed): PlannedTime {
  const products = work.flops.total / (speed.productFlopsPerSecond * (speed.stepEfficiency ?? STEP_EFFICIENCY));
  const optimizer = work.trainedValues / speed.adamwValuesPerSecond;
  const dequantization = work.dequantized / speed.dequantizedPerSecond;
  const perUpdate = products + optimizer + dequantization;
  return {
    perUpdate,
    products,
    optimizer,
    dequantization,
    tokensPerSecond: work.tokens / perUpdate,
    run: work.updates === null ? null : perUpdate * work.updates,
  };
}
