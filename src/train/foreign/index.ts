// foreign: checkpoints that the Hugging Face Trainer, or a tool built on it, wrote, as the start of a run of ours.
// Knows their files and groups; what is refused, assumed and inherited. Makes no update.
export { epochNotes } from "./arguments.ts";
export {
  HANDOVER_CHANGES,
  type Handover,
  type HandoverRequest,
  type ResolvedHandover,
  recordedHandover,
  resolveHandover,
} from "./handover.ts";
export { locateTrainerCheckpoint } from "./locate.ts";
export { takeUpOptimizer } from "./take-up.ts";
