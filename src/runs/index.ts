// runs: what of a run is kept, and where: layout, record, result, events, locks, lineage, the
// store of many. Knows nothing of how a run is made.
export { changeText, type RunChange, readChanges } from "./changes.ts";
export { type ConfigDifference, compareRuns, type FactDifference, type LossRow, type RunComparison } from "./compare.ts";
export { EventLog } from "./event-log.ts";
export { type FoundParent, findParent } from "./find-parent.ts";
export { fingerprintModel } from "./fingerprint.ts";
export { differingFiles, type HashedFile, type HashedFiles, hashFile, hashWeights } from "./hashes.ts";
export {
  checkpointFolder,
  checkpointStep,
  listCheckpoints,
  newRunId,
  RUN_FILES,
  type SetAside,
  setAsideEnd,
  setAsideLater,
  sweepRun,
} from "./layout.ts";
export { type Lineage, type LineageLink, type LineageOptions, verifyLineage } from "./lineage.ts";
export { machineEnvironment } from "./machine.ts";
export type { AnswerRecord, EarlyStop, EvaluationConditions, GateRecord, HeldOutRecord, RunMeasures, SamplePair } from "./measures.ts";
export { hasMergeRecord, MERGE_RECORD, type MergeRecord, readMergeRecord, writeMergeRecord } from "./merge-record.ts";
export { newestRun } from "./newest-run.ts";
export { parentRecord } from "./parent.ts";
export type { ProfileShareName, ProfileSummary } from "./profile.ts";
export { type RunEvent, type RunEvents, readEvents, type TailedEvent, type TailOptions, tailEvents } from "./read-events.ts";
export {
  ADAPTER_RECORD,
  type AdapterRecord,
  configHash,
  type DataRecord,
  type EvaluationRecord,
  type Fingerprint,
  type ParentRecord,
  type RunRecord,
  readAdapterRecord,
  readRunRecord,
  writeRunRecord,
} from "./record.ts";
export { judgeRepetition, type Repetition } from "./repetition.ts";
export { type RunResult, readRunResult, writeRunResult } from "./result.ts";
export { type LockHolder, RunLock } from "./run-lock.ts";
export { requireSameBase } from "./same-base.ts";
export { type Descendant, descendantsOf, findRun, INDEX_FILE, listRuns, summarizeRun } from "./store.ts";
export { type LossChange, RUN_STATES, type RunState, type RunSummary } from "./summary.ts";
export { type RunForest, type RunNode, runForest } from "./tree.ts";
export { RECORD_SCHEMA_VERSION, upgradeRecord } from "./upgrade.ts";
export type { LinkState } from "./verdict.ts";
export { VERSION } from "./version.ts";
