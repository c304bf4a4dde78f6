// runs: what of a run is kept, and where: layout, record, events, fingerprints.
// Knows nothing of how a run is made.
export { EventLog } from "./event-log.ts";
export { fingerprintModel } from "./fingerprint.ts";
export { checkpointFolder, checkpointStep, listCheckpoints, newRunId, RUN_FILES } from "./layout.ts";
export {
  ADAPTER_RECORD,
  type AdapterRecord,
  configHash,
  type DataRecord,
  type EvaluationRecord,
  type Fingerprint,
  RECORD_SCHEMA_VERSION,
  type RunRecord,
  readAdapterRecord,
  readRunRecord,
  writeRunRecord,
} from "./record.ts";
export { requireSameBase } from "./same-base.ts";
