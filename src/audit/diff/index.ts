// audit/diff: what moved between two adapters, checkpoints, models or files, tensor by tensor.
// Streams values and compares them; does not judge them. A door of its own, because the command
// line needs no more of audit/ than this: half of the time to start.
export { type DiffOptions, diffPaths } from "./diff-paths.ts";
export type { ChangedTensor, DiffGroup, DiffResult, DtypeDifference, ShapeMismatch } from "./types.ts";
