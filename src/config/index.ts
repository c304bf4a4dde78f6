// config: run.yaml, its schema, defaults and presets, and where each value came
// from. Knows keys and values only: no tensors, no files (texts are handed in).
export {
  CHANGE_NAMES,
  type ChangeName,
  type Changes,
  changeFlags,
  changeKey,
  parseChanges,
  RUN_CHANGE_NAMES,
  type RunChangeName,
} from "./changes.ts";
export { DEQUANTIZED_CACHE_SHARE } from "./dequantized-cache.ts";
export {
  evaluationSettings,
  type GateFault,
  gateFaults,
  gateSets,
  isAnswerMetric,
  type MeasuredSets,
  PARENT_PREFIX,
  parseGate,
} from "./gates.ts";
export type { Source } from "./layers.ts";
export { absolutePaths } from "./paths.ts";
export {
  asRunFile,
  type ConfigSources,
  type ConfigText,
  type FlagValue,
  type LearningRateGroup,
  learningRateGroups,
  parseSetFlag,
  parseValue,
  type ResolvedConfig,
  resolveConfig,
} from "./resolve.ts";
export {
  type AdapterConfig,
  type CheckpointConfig,
  type DataConfig,
  type DataSourceConfig,
  type EarlyStoppingConfig,
  type EngineConfig,
  type EvaluationConfig,
  type GateConfig,
  type OptimizerName,
  type QuantizationConfig,
  type RunConfig,
  type RunConfigInput,
  runJsonSchema,
  type TrainingConfig,
} from "./schema.ts";
