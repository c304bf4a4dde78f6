// core/node: what touches Node (files, hashing, workers). Knows no file format.
export {
  removeFolderAtomic,
  sweepAbandoned,
  sweepTemporaries,
  writeError,
  writeFileAtomic,
  writeFolderAtomic,
  writeTextAtomic,
} from "./atomic-write.ts";
export { type FileSource, fileError, openFile } from "./file-source.ts";
export { type DiskFolder, openFolder } from "./folder.ts";
export { sha256 } from "./hash.ts";
export {
  defineJob,
  describeFailure,
  type Failure,
  type Job,
  type JobBody,
  type JobContext,
  type RunJobOptions,
  rebuildFailure,
  runJob,
  workerError,
} from "./job.ts";
