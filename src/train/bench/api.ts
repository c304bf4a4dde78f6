import type { MachineRates } from "../calibrate.ts";

/** Rate of one product [512, K] × [N, K]ᵀ in fp32. */
export interface GemmRate {
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly threads: number;
  readonly flopsPerSecond: number;
}

/** A step of a small model that was built in memory. */
export interface MeasuredStep {
  readonly model: string;
  readonly tokens: number;
  /** Median. */
  readonly seconds: number;
  readonly tokensPerSecond: number;
  /** Share of the products' rate that the whole step reaches; what the table below is worked out with. */
  readonly efficiency: number;
}

/** What one way to train a model would need and do here. */
export interface ModelEstimate {
  readonly model: string;
  readonly parameters: number;
  /** `qlora`: NF4 base, LoRA on all linear layers; `full`: its embedding and head trained in full as well. */
  readonly method: "qlora" | "full";
  readonly trainable: number;
  readonly tokensPerSecond: number;
  readonly secondsPerUpdate: number;
  readonly bytes: number;
  readonly fits: boolean;
  /** Settings that make it fit, each on top of those before it; if the last does not, nothing here does. */
  readonly remedies: readonly { readonly settings: readonly string[]; readonly bytes: number; readonly fits: boolean }[];
}

/** What `heirloom bench` found. */
export interface BenchResult {
  readonly machine: Readonly<Record<string, string | number>>;
  readonly memoryBytes: number;
  readonly gemm: readonly GemmRate[];
  readonly rates: MachineRates;
  /** Bytes read and written per second by copying between two arrays that no cache holds. */
  readonly copiedBytesPerSecond: number;
  readonly step: MeasuredStep;
  /** What the estimates are of. */
  readonly assumed: { readonly rank: number; readonly batchSize: number; readonly sequence: number };
  readonly models: readonly ModelEstimate[];
  readonly seconds: number;
}

/** What to measure, and for which machine to estimate. */
export interface BenchRequest {
  /** @defaultValue this machine's memory */
  readonly memoryBytes: number;
  /** Threads of the products; null: the runtime's choice. */
  readonly threads: number | null;
  /** Tokens of a sequence in the estimates. @defaultValue 512 */
  readonly sequence?: number;
}
