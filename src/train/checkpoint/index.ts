// checkpoint: what a run needs to go on as if it had never stopped, as files that
// the Hugging Face Trainer resumes from too; copied, written beside training, checked.
export { checkFiles, type PlannedFile, parameterToWrite, writePlannedFile } from "./files.ts";
export { type LiveArray, type Reading, readLive } from "./memory.ts";
export { readLog, readOptimizerState } from "./read.ts";
export { CheckpointSaver } from "./saver.ts";
export { type CheckpointState, readState, STATE_FILE } from "./state.ts";
export { indexedGroups, trainerFiles } from "./trainer-files.ts";
export type { PlannedCheckpoint } from "./write.ts";
