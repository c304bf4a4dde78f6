// engine: models and adapters as graphs, and their weights in memory. Gives
// losses, logits and gradients; knows nothing of optimizers, schedules, runs or
// files other than the tensors that it is handed.
export { type AdapterParameterOptions, baseParameters, newAdapterParameters, readAdapterParameters } from "./adapter-parameters.ts";
export { type BaseTensor, BaseWeights } from "./base-weights.ts";
export type { LoraPlan } from "./block-plan.ts";
export { CausalModel, type CausalModelParts, type LiveTensor } from "./causal-model.ts";
export { Decoder, type DecodingStream } from "./decoder.ts";
export { decodingRunBytes } from "./decoding-memory.ts";
export type { DropoutPosition } from "./dropout.ts";
export { growAdapter, requireGrowth, takeOverValues } from "./grow-adapter.ts";
export { MAX_STREAMS } from "./head.ts";
export { cacheLength, cacheSlots, kvCacheBytes } from "./kv-cache.ts";
export { labelRows } from "./label-rows.ts";
export { type BaseOptions, type CachePolicy, loadBaseWeights, type QuantizationChoice } from "./load-base.ts";
export { memoryBudget } from "./memory-budget.ts";
export { loadModelFolder, loraPlans } from "./open-model.ts";
export {
  type Bf16Parameter,
  EMBEDDING_KEY,
  type Fp32Parameter,
  type MasterDtype,
  memoryLayout,
  type Parameter,
  readValues,
  storedLayout,
  writeValues,
} from "./parameter.ts";
export type { ActivationPolicy } from "./programs.ts";
export { denseGradient, gradientPieces, readGradient } from "./row-gradient.ts";
