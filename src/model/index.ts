// model: what a causal language model is, from its config.json: sizes, modules,
// parameter names and shapes, rotary frequencies, one record per architecture.
// Knows nothing of files, adapters or training.
export type { Architecture } from "./architectures/index.ts";
export * from "./gguf/index.ts";
export type { ModelSpec } from "./model-spec.ts";
export {
  containerModules,
  INPUT_EMBEDDING,
  modelModules,
  modelParameters,
  moduleParameters,
  OUTPUT_EMBEDDING,
  parameterCount,
  quantizedModules,
  statelessModules,
} from "./modules.ts";
export { parseModelConfig } from "./parse-config.ts";
export { ropeAttentionFactor, ropeFrequencies } from "./rope.ts";
export type { BiasSpec, ModuleSpec, Nf4Spec, ParameterKind, ParameterSpec, RopeScaling, RopeSpec } from "./types.ts";
