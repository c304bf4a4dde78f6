// export: models and adapters written down as something else: merged, quantized, in other tools'
// formats. Knows the engine, to compare what it wrote; not training.

export * from "./convert/index.ts";
export * from "./gguf/index.ts";
export { type ImportDtype, type ImportOptions, type ImportResult, importGguf, type WeightsProgress } from "./import/index.ts";
export {
  type ExportEvent,
  type ExportOptions,
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
  mergeAdapter,
  type Rounding,
  type WeightCheck,
} from "./merge/index.ts";
export * from "./quantize/index.ts";
