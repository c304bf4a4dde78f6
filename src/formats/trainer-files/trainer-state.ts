import { type PythonFloat, pyFloat } from "../python-float.ts";
import { pythonJson } from "../python-json.ts";

/** Keys of a log that Trainer counts in whole numbers; all other numbers in logs are floats. */
const WHOLE_LOG_KEYS: ReadonlySet<string> = new Set(["step", "num_input_tokens_seen"]);

/** One row of the log: `step`, `epoch` and what was measured, by Trainer's names (`loss`, `grad_norm`, `learning_rate`, `eval_loss` …). */
export type LogEntry = Readonly<Record<string, number>> & { readonly step: number; readonly epoch: number };

/** `trainer_state.json` (transformers 5.18, `TrainerState`); its names in camel case. */
export interface HfTrainerState {
  /** The step that `bestMetric` was reached at. */
  readonly bestGlobalStep: number | null;
  readonly bestMetric: number | null;
  /** A folder; Trainer ignores it with a warning when it does not exist. */
  readonly bestModelCheckpoint: string | null;
  /** With its fraction: 1.5 is the middle of the second epoch. */
  readonly epoch: number;
  readonly evalSteps: number;
  /** Updates done. Trainer derives from it the epoch and the batches to skip. */
  readonly globalStep: number;
  readonly isHyperParamSearch: boolean;
  readonly isLocalProcessZero: boolean;
  readonly isWorldProcessZero: boolean;
  readonly logHistory: readonly LogEntry[];
  readonly loggingSteps: number;
  readonly maxSteps: number;
  readonly numInputTokensSeen: number;
  /** Rounded up. */
  readonly numTrainEpochs: number;
  readonly saveSteps: number;
  /**
   * By class name. `TrainerControl` has to be there, or Trainer's next save fails; so has each exportable callback of
   * the run that goes on (`EarlyStoppingCallback`), and a list stands for several of a class.
   */
  readonly statefulCallbacks: Readonly<Record<string, unknown>>;
  readonly totalFlos: number;
  /** Micro-batch size. Trainer warns when its own differs. */
  readonly trainBatchSize: number | null;
  readonly trialName: string | null;
  readonly trialParams: Readonly<Record<string, string | number | boolean | PythonFloat>> | null;
}

/** State of `TrainerControl` as a checkpoint that has just been saved holds it. */
export function trainerControlState(shouldTrainingStop = false): Readonly<Record<string, unknown>> {
  return {
    args: {
      should_epoch_stop: false,
      should_evaluate: false,
      should_log: false,
      should_save: true,
      should_training_stop: shouldTrainingStop,
    },
    attributes: {},
  };
}

function logRow(entry: LogEntry): Readonly<Record<string, number | PythonFloat>> {
  return Object.fromEntries(Object.entries(entry).map(([key, value]) => [key, WHOLE_LOG_KEYS.has(key) ? value : pyFloat(value)]));
}

/** `trainer_state.json` byte for byte as Trainer writes it, sorted, with floats as Python spells them. */
export function serializeTrainerState(state: HfTrainerState): string {
  const file = {
    best_global_step: state.bestGlobalStep,
    best_metric: state.bestMetric === null ? null : pyFloat(state.bestMetric),
    best_model_checkpoint: state.bestModelCheckpoint,
    epoch: pyFloat(state.epoch),
    eval_steps: state.evalSteps,
    global_step: state.globalStep,
    is_hyper_param_search: state.isHyperParamSearch,
    is_local_process_zero: state.isLocalProcessZero,
    is_world_process_zero: state.isWorldProcessZero,
    log_history: state.logHistory.map(logRow),
    logging_steps: state.loggingSteps,
    max_steps: state.maxSteps,
    num_input_tokens_seen: state.numInputTokensSeen,
    num_train_epochs: state.numTrainEpochs,
    save_steps: state.saveSteps,
    stateful_callbacks: state.statefulCallbacks,
    total_flos: pyFloat(state.totalFlos),
    train_batch_size: state.trainBatchSize,
    trial_name: state.trialName,
    trial_params: state.trialParams,
  };
  return `${pythonJson(file, new Set())}\n`;
}
