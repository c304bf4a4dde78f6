// train: the loop, schedules, optimizers, liveness, checkpoints and resume.
// Knows engine and ledger; prints nothing (it emits typed events).
import { InternalError } from "../core/index.ts";
import type { RunConfig } from "../config/index.ts";
import type { ContinueRequest, DemoResult, EvaluationRequest, EvaluationResult, TrainingOptions, TrainingResult } from "./api.ts";

export type * from "./api.ts";
export type * from "./events.ts";

function missing(what: string): Promise<never> {
  return Promise.reject(new InternalError(`${what} is not part of this build`));
}

/** Trains what `config` describes. */
export function train(_config: RunConfig, _options: TrainingOptions = {}): Promise<TrainingResult> {
  return missing("training");
}

/** Continues an adapter as what it is. */
export function continueTraining(_request: ContinueRequest, _options: TrainingOptions = {}): Promise<TrainingResult> {
  return missing("continuing");
}

/** Goes on with an interrupted run. @param path folder of a run or of a checkpoint */
export function resume(_path: string, _options: TrainingOptions = {}): Promise<TrainingResult> {
  return missing("resuming");
}

/** Loss and perplexity on held-out data. */
export function evaluate(_request: EvaluationRequest, _options: TrainingOptions = {}): Promise<EvaluationResult> {
  return missing("evaluating");
}

/** The main job on the bundled base model. */
export function runDemo(_options: TrainingOptions = {}): Promise<DemoResult> {
  return missing("the demo");
}
