// export/merge: an adapter in its base's weights, row by row, compared with the adapter afterwards; and the plan and
// the rows of a merge for those who write them in another form. Knows the engine, for the comparison alone.
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
  type WeightCheck,
} from "./api.ts";
export { checkMerged } from "./check.ts";
export { checkWeights } from "./check-weights.ts";
export { type ExportOptions, mergeAdapter } from "./merge.ts";
export { adapterValues } from "./merge-rows.ts";
export { mergedTensorFile } from "./merged-file.ts";
export { notesOn } from "./notes.ts";
export { checkTensors } from "./plan.ts";
export { mergedConfig, prepareMerge, sourcesOf } from "./prepared.ts";
export { CHANGES_BASE } from "./refusals.ts";
export { BaseDifference } from "./tallies.ts";
