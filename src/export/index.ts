// export: models and adapters written down as something else: merged, quantized, in other tools'
// formats. Knows the engine, to compare what it wrote; not training.

export { ADAPTER_FORMATS, type AdapterFormat, type ConvertRequest, type ConvertResult } from "./convert/api.ts";
export { convertAdapter } from "./convert/convert.ts";
export { GGUF_TYPES, type GgufRequest, type GgufResult, type GgufType } from "./gguf/api.ts";
export { exportGguf } from "./gguf/gguf.ts";
export * from "./import/index.ts";
export {
  type ExportEvent,
  type GroupDifference,
  HELD_AS,
  type LogitDifference,
  MERGE_DTYPES,
  MERGE_TARGETS,
  type MergeCheck,
  type MergeDtype,
  type MergeRequest,
  type MergeResult,
  type MergeTarget,
  type Rounding,
} from "./merge/api.ts";
export { type ExportOptions, mergeAdapter } from "./merge/merge.ts";
export type { QuantizeRequest, QuantizeResult } from "./quantize/api.ts";
export { quantizeModel } from "./quantize/quantize.ts";
