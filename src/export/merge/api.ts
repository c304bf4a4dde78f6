/** Dtypes that a model can be written in. */
export const MERGE_DTYPES = ["fp32", "bf16", "fp16"] as const;
/** One of {@link MERGE_DTYPES}. */
export type MergeDtype = (typeof MERGE_DTYPES)[number];

/**
 * What an adapter is merged onto: `trained`, the values that it saw in training (of a base held in NF4 the dequantized ones), or
 * `original`, the weights before they were quantized.
 */
export const MERGE_TARGETS = ["trained", "original"] as const;
/** One of {@link MERGE_TARGETS}. */
export type MergeTarget = (typeof MERGE_TARGETS)[number];

/** How a base was held in training, where no record says so: as its files are, or quantized on load. */
export const HELD_AS = ["files", "nf4", "nf4-double"] as const;

/** What to merge, and into what. */
export interface MergeRequest {
  /** Folder of an adapter, a checkpoint or a run. */
  readonly path: string;
  /** Folder to make. */
  readonly output: string;
  /** Base model, if the adapter's record names none or another is meant. */
  readonly base?: string;
  /** Dense weights of a base that is stored in 4 bits. */
  readonly original?: string;
  /** @defaultValue "trained" */
  readonly onto?: MergeTarget;
  /** @defaultValue the base's own */
  readonly dtype?: MergeDtype;
  /** How the base was held in training; only for an adapter whose record does not say it. @defaultValue "files" */
  readonly heldAs?: (typeof HELD_AS)[number];
  /** False: do not compare the merged model's logits with the adapter's. @defaultValue true */
  readonly check?: boolean;
  /** Largest file of weights in bytes. @defaultValue 5e9 */
  readonly maxShardBytes?: number;
}

/** How far the base as trained is from its original weights, over the tensors of one kind. */
export interface GroupDifference {
  /** Last part of the modules' names: `q_proj`. */
  readonly group: string;
  readonly tensors: number;
  readonly maxAbs: number;
  /** ‖trained − original‖ / ‖original‖. */
  readonly relative: number;
}

/** What rounding to the output's dtype did to the merged values. */
export interface Rounding {
  readonly maxAbs: number;
  /** ‖rounding‖ / ‖change that the adapter makes‖, over the tensors that it changes. */
  readonly shareOfChange: number;
}

/** Two models' logits on the same tokens. */
export interface LogitDifference {
  readonly maxAbs: number;
  /** Root of the mean square. */
  readonly rms: number;
  /** Mean of KL(reference ‖ other) over positions, nats. */
  readonly kl: number;
  /** Share of positions with the same most likely token. */
  readonly sameTop: number;
}

/** The comparison after a merge. */
export interface MergeCheck {
  readonly tokens: number;
  /** Merged model against the adapter on the base that it was merged onto. */
  readonly merged: LogitDifference;
  /** Largest {@link LogitDifference.rms} that rounding explains; see docs/how-to/merge-and-export.md. */
  readonly bound: number;
  /** The adapter against its base without it: what the merge is there to keep. */
  readonly effect: LogitDifference;
  /** The adapter on the original weights against it on the base as trained; null if there is but one of them. */
  readonly onOriginal: LogitDifference | null;
}

/**
 * The weaker comparison, where the engine does not run the adapter: the formula of the merge evaluated a second time, in fp64, on rows of
 * every tensor.
 */
export interface WeightCheck {
  readonly kind: "weights";
  readonly tensors: number;
  readonly rows: number;
  /** Largest difference, as a share of what rounding explains; above 1 the merge fails. */
  readonly largestShareOfRounding: number;
}

/** What became of a merge. */
export interface MergeResult {
  readonly output: string;
  readonly adapter: string;
  readonly base: string;
  readonly onto: MergeTarget;
  readonly dtype: MergeDtype;
  readonly tie: { readonly before: boolean; readonly after: boolean; readonly reason: string };
  readonly tensors: number;
  /** Tensors that the adapter changes. */
  readonly changed: number;
  readonly bytes: number;
  readonly files: readonly string[];
  readonly rounding: Rounding;
  /** Null if the base was not quantized, or its original weights are not at hand. */
  readonly difference: readonly GroupDifference[] | null;
  /** The comparison of logits; null if none was made. */
  readonly check: MergeCheck | null;
  /** The comparison of weights, in place of that of logits; null if it was not needed or not wanted. */
  readonly weightCheck: WeightCheck | null;
  readonly notes: readonly string[];
  readonly seconds: number;
}

/** How far an export has come. */
export interface ExportEvent {
  readonly type: "export";
  /** `merging`, `comparing` … */
  readonly phase: string;
  readonly done: number;
  readonly total: number;
}
