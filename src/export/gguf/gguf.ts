import { runJob } from "../../core/node/index.ts";
import type { ExportOptions } from "../merge/index.ts";
import type { GgufRequest, GgufResult } from "./api.ts";
import { ggufJob } from "./gguf-worker.ts";

/**
 * Writes a GGUF file for llama.cpp: a model, an adapter merged into its base, or (`lora`) the adapter by itself. Names, the order
 * of q's and k's rows, types and metadata are those of llama.cpp's own converters.
 *
 * @throws EXPORT_UNSUPPORTED by name for a tokenizer, a model or an adapter that GGUF cannot hold; OUTPUT_EXISTS, TENSOR_NOT_FINITE,
 * INTERRUPTED, and what merging throws
 * @example
 * ```ts no-run
 * await exportGguf({ path: "runs/a", output: "a.gguf", type: "q8_0" });
 * ```
 */
export function exportGguf(request: GgufRequest, options: ExportOptions = {}): Promise<GgufResult> {
  return runJob(ggufJob, request, options);
}
