import { runJob } from "../../core/node/index.ts";
import type { ExportOptions } from "../merge/index.ts";
import type { QuantizeRequest, QuantizeResult } from "./api.ts";
import { quantizeJob } from "./quantize-worker.ts";

/**
 * Writes a model with its linear layers in NF4, in the layout of bitsandbytes: transformers loads the folder as it is, and the
 * codes are those that training here and bitsandbytes make of the same weights. Embedding, head, norms and biases stay as
 * they are. One layer is held at a time.
 *
 * @throws OUTPUT_EXISTS, QUANTIZATION_UNSUPPORTED if it is quantized already, TENSOR_NOT_FINITE, INTERRUPTED, and what opening a model throws
 * @example
 * ```ts no-run
 * await quantizeModel({ path: "models/m", output: "models/m-nf4", doubleQuant: true });
 * ```
 */
export function quantizeModel(request: QuantizeRequest, options: ExportOptions = {}): Promise<QuantizeResult> {
  return runJob(quantizeJob, request, options);
}
