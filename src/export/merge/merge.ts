import { runJob } from "../../core/node/index.ts";
import type { ExportEvent, MergeRequest, MergeResult } from "./api.ts";
import { mergeJob } from "./merge-worker.ts";

/** How a caller hears of a job, and stops it. */
export interface ExportOptions {
  readonly onEvent?: (event: ExportEvent) => void;
  readonly signal?: AbortSignal;
  /** Runs on the caller's thread instead of a worker's. @defaultValue false */
  readonly inline?: boolean;
}

/**
 * Merges an adapter into its base: a model folder as transformers loads it, `W + scaling·B·A` in every weight. By default onto
 * the base as the adapter saw it in training, so that the merged model gives the adapter's logits; that is checked.
 *
 * Weights are read, merged and written a few rows at a time; the comparison of logits holds a whole model in memory.
 *
 * @throws MERGE_MISMATCH with nothing left behind; OUTPUT_EXISTS, ADAPTER_UNSUPPORTED, ADAPTER_INCOMPATIBLE, BASE_MISMATCH, PEER_MISSING,
 * TENSOR_NOT_FINITE, INTERRUPTED, and what opening an adapter and a model throws
 * @example
 * ```ts no-run
 * const { check } = await mergeAdapter({ path: "runs/a", output: "models/merged", dtype: "bf16" });
 * ```
 */
export function mergeAdapter(request: MergeRequest, options: ExportOptions = {}): Promise<MergeResult> {
  return runJob(mergeJob, request, options);
}
