/**
 * heirloom: QLoRA fine-tuning in which an adapter always continues as exactly
 * what it was. The commands of the command line are thin layers over these
 * functions; the parts have subpaths of their own (`heirloom/ledger` …).
 *
 * @packageDocumentation
 */
export { type InspectResult, inspectPath } from "./audit/index.ts";
export { type ConfigSources, parseChanges, type RunConfig, resolveConfig } from "./config/index.ts";
export { type ErrorCode, HeirloomError, isHeirloomError, type Problem } from "./core/index.ts";
export { type GenerationRequest, type GenerationResult, generate } from "./generate/index.ts";
export {
  type ContinueRequest,
  continueTraining,
  type EvaluationRequest,
  type EvaluationResult,
  evaluate,
  resume,
  type TrainingEvent,
  type TrainingOptions,
  type TrainingResult,
  train,
} from "./train/index.ts";
