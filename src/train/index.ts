// train: the loop, schedules, optimizers, liveness, checkpoints and resume.
// Knows engine and ledger; prints nothing (it emits typed events).
import { runJob } from "../core/node/index.ts";
import type { EvaluationRequest, EvaluationResult, TrainingOptions } from "./api.ts";
import { evaluateJob } from "./evaluate-worker.ts";

export type * from "./api.ts";
export {
  type BenchEvent,
  type BenchOptions,
  type BenchRequest,
  type BenchResult,
  benchMachine,
  type GemmRate,
  type MeasuredStep,
  type ModelEstimate,
} from "./bench/index.ts";
export { calibrate, type MachineRates } from "./calibrate.ts";
export { runDemo } from "./demo.ts";
export type * from "./events.ts";
export {
  HANDOVER_CHANGES,
  type Handover,
  type HandoverRequest,
  locateTrainerCheckpoint,
  type ResolvedHandover,
  resolveHandover,
  takeUpOptimizer,
} from "./foreign/index.ts";
export { observeSession } from "./observe.ts";
export { type RepeatedResult, type RepeatOptions, repeatRun } from "./repeat.ts";
export { type SchedulePlan, scheduleFactor } from "./schedule.ts";
export { type SessionPlan, TrainingSession, type UpdateOutcome } from "./session.ts";
export { continueTraining, resume, resumeTrainer, train } from "./train.ts";

/**
 * Loss and perplexity on held-out data, in a worker thread.
 *
 * @throws DATA_EMPTY if no data are named anywhere, and what opening the model throws
 */
export function evaluate(request: EvaluationRequest, options: TrainingOptions = {}): Promise<EvaluationResult> {
  const { onEvent, signal } = options;
  return runJob(evaluateJob, request, { ...(onEvent === undefined ? {} : { onEvent }), ...(signal === undefined ? {} : { signal }) });
}
