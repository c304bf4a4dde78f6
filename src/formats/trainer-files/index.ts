// trainer-files: the state files beside the weights in a checkpoint of transformers' Trainer (5.18).
// Knows their schemas and seeds; must not know how a run is trained, or where its numbers come from.

export { TRAINER_FILES } from "./file-names.ts";
export {
  type AdamWGroup,
  type AdamWOptions,
  type AdamWParameterState,
  adamW8bitStateDict,
  adamWStateDict,
  type BitsandbytesParameterState,
  type OptimizerStateDict,
  optimizerStateDict,
} from "./optimizer-state.ts";
export { type RngStateOptions, rngStateOf, seededRngState, type TrainerRngState } from "./rng-state.ts";
export {
  optimizerStateAt,
  readSavedOptimizer,
  type SavedGroup,
  type SavedOptimizer,
  type SavedParameterState,
  updatesOf,
} from "./saved-optimizer.ts";
export { type LambdaLrState, lambdaLrStateDict } from "./scheduler-state.ts";
export { type HfTrainerState, type LogEntry, serializeTrainerState, trainerControlState } from "./trainer-state.ts";
