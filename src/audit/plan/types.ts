import type { LedgerCounts, LedgerEntry } from "../../ledger/index.ts";
import type { ModelSpec } from "../../model/index.ts";
import type { PlannedFile } from "./files.ts";
import type { PlannedFlops } from "./flops.ts";
import type { MemoryPart } from "./memory.ts";
import type { Bf16Rounding } from "./rounding.ts";
import type { MachineSpeed, PlannedTime } from "./time.ts";

/** What a plan takes besides the configuration. */
export interface PlanOptions {
  /** Memory of the machine that will train, in bytes. */
  readonly memoryBytes: number;
  /**
   * Gives what the machine does per second for a model of these sizes, or the reason why that is not known.
   * @defaultValue no time is given
   */
  readonly speed?: (sizes: Pick<ModelSpec, "hiddenSize" | "intermediateSize">) => Promise<MachineSpeed | { readonly reason: string }>;
}

/** A setting that changes what the run needs. */
export interface Remedy {
  /** Settings to put into run.yaml, as `--set` takes them. */
  readonly settings: readonly string[];
  /** What it costs. */
  readonly price: string;
  /** Predicted peak with it, together with the remedies before it in the list. */
  readonly bytes: number;
  readonly fits: boolean;
}

/** Something to know before the run. */
export interface PlanWarning {
  readonly code: "MEMORY" | "BF16_ROUNDING" | "TIED_EMBEDDINGS" | "GGUF_BASE";
  readonly message: string;
  readonly hint: string;
  readonly tensors: readonly string[];
}

/** A learning-rate group with what is in it. */
export interface PlannedGroup {
  readonly name: string;
  /** Peak rate. */
  readonly learningRate: number;
  readonly tensors: number;
  readonly parameters: number;
}

/** The fields of `plan --json`. */
export interface PlanResult {
  readonly base: string;
  readonly architecture: string;
  readonly counts: { readonly basis: "predicted" } & LedgerCounts;
  /** What PEFT would print. */
  readonly banner: string;
  readonly groups: readonly PlannedGroup[];
  readonly tensors: readonly Omit<LedgerEntry, "state">[];
  readonly files: readonly PlannedFile[];
  readonly memory: {
    readonly parts: readonly MemoryPart[];
    readonly totalBytes: number;
    readonly machineBytes: number;
    readonly fits: boolean;
    /** In the order in which to try them; each line includes those before it. Empty if the run fits. */
    readonly remedies: readonly Remedy[];
  };
  readonly update: {
    /** Tokens at most: every sequence full. */
    readonly tokens: number;
    readonly microBatches: number;
    readonly flops: PlannedFlops;
    /** Updates of the run; null if that depends on the data. */
    readonly updates: number | null;
  };
  readonly time: PlannedTime | null;
  readonly timeReason: string | null;
  /** Of each group with full copies: what rounding to the nearest bf16 value would lose. */
  readonly rounding: readonly (Bf16Rounding & { readonly group: string })[];
  readonly warnings: readonly PlanWarning[];
}
