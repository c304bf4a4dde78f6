import { HeirloomError, ProblemList } from "../core/index.ts";
import { type LoraPeftConfig, loraPeftConfig, type PeftConfig } from "../formats/index.ts";
import { EMBEDDING_NAMES, lastPart } from "./names.ts";
import type { AdapterSpec, LoraInit } from "./types.ts";

/** The PEFT release whose files are written. */
export const PEFT_VERSION = "0.21.0";

/** Keys of the oldest releases that change nothing about what the adapter computes. */
const HARMLESS_KEYS: readonly string[] = ["merge_weights"];

const filled = (value: unknown): boolean => typeof value === "object" && value !== null && Object.keys(value).length > 0;

/** PEFT features that are not implemented: the key that turns one on, its name, and when it is on. */
const UNSUPPORTED: readonly (readonly [key: string, feature: string, on: (config: LoraPeftConfig) => boolean])[] = [
  ["use_rslora", "rank-stabilized LoRA (rsLoRA)", (c) => c.useRslora],
  ["use_dora", "DoRA", (c) => c.useDora],
  ["rank_pattern", "ranks by pattern", (c) => filled(c.rankPattern)],
  ["alpha_pattern", "alphas by pattern", (c) => filled(c.alphaPattern)],
  ["bias", "trained biases", (c) => c.bias !== "none"],
  ["lora_bias", "a bias on lora_B", (c) => c.loraBias],
  ["trainable_token_indices", "trainable tokens", (c) => filled(c.trainableTokenIndices)],
  ["target_parameters", "LoRA on bare parameters", (c) => filled(c.targetParameters)],
  ["layer_replication", "replicated layers", (c) => filled(c.layerReplication)],
  ["megatron_config", "Megatron layers", (c) => c.megatronConfig !== null],
  ["alora_invocation_tokens", "activated LoRA", (c) => c.aloraInvocationTokens !== null],
  ["use_qalora", "QALoRA", (c) => c.useQalora],
  ["use_bdlora", "block-diagonal LoRA", (c) => c.useBdlora !== null && c.useBdlora !== false],
  ["arrow_config", "Arrow routing", (c) => c.arrowConfig !== null],
  ["kasa_config", "KaSA", (c) => c.kasaConfig !== null],
  ["monteclora_config", "Monte Carlo LoRA", (c) => c.montecloraConfig !== null],
  ["velora_config", "VeLoRA", (c) => c.veloraConfig !== null],
  ["target_modules", "default targets (null)", (c) => c.targetModules === null],
  // The sequence classification and other heads are trained beside the adapter, without being named in it.
  ["task_type", "a task other than CAUSAL_LM", (c) => c.taskType !== null && c.taskType !== "CAUSAL_LM"],
  // PiSSA, OLoRA, CorDA, LoftQ and LoRA-GA change the base weights as well; the adapter is wrong on the plain base.
  [
    "init_lora_weights",
    "an initialization that is tied to changed base weights",
    (c) => typeof c.initLoraWeights === "string" && c.initLoraWeights !== "gaussian",
  ],
];

/**
 * What a PEFT configuration means here. Anything that would have to be left out is
 * refused, all at once and by name: an adapter is never run without a part of it.
 *
 * @throws ADAPTER_UNSUPPORTED, ADAPTER_RANK_INVALID, PEFT_CONFIG_INVALID
 */
export function adapterFromPeft(config: PeftConfig): AdapterSpec {
  const problems = new ProblemList();
  const refuse = (feature: string, key: string, value: unknown) =>
    problems.add("ADAPTER_UNSUPPORTED", `${feature} (${key}: ${JSON.stringify(value)}) is not supported`, {
      details: { feature: key, value },
    });
  if (config.kind === "other") {
    throw new HeirloomError("ADAPTER_UNSUPPORTED", `the PEFT type "${config.peftType}" is not supported, only LORA is`, {
      details: { feature: "peft_type", value: config.peftType },
    });
  }
  for (const [key, feature, on] of UNSUPPORTED) if (on(config)) refuse(feature, key, config.raw[key] ?? null);
  for (const name of embeddingTargets(config)) refuse("LoRA on an embedding", "target_modules", name);
  for (const key of config.unknownKeys) {
    const value = config.raw[key];
    if (!HARMLESS_KEYS.includes(key) && isSet(value)) refuse("an unknown setting", key, value);
  }
  checkValues(config, problems);
  problems.throwIfAny();
  return {
    rank: config.r,
    alpha: config.loraAlpha,
    dropout: config.loraDropout,
    // PEFT makes a set of a list; real files name modules twice.
    targetModules: typeof config.targetModules === "string" ? config.targetModules : [...new Set(config.targetModules)],
    excludeModules: nonEmpty(config.excludeModules),
    layersToTransform: config.layersToTransform === null ? null : nonEmpty([config.layersToTransform].flat()),
    layersPattern: nonEmpty(config.layersPattern),
    modulesToSave: config.modulesToSave ?? [],
    bias: "none",
    ensureWeightTying: config.ensureWeightTying,
    // null is what False is: the matrices are left as PyTorch makes them.
    initLoraWeights: (config.initLoraWeights ?? false) as LoraInit, // other texts are refused above
    baseModel: config.baseModelNameOrPath,
    peftVersion: config.peftVersion,
  };
}

function nonEmpty<T extends string | readonly unknown[]>(value: T | null): T | null {
  return value === null || value.length === 0 ? null : value;
}

function isSet(value: unknown): boolean {
  return value !== null && value !== false && value !== "" && value !== undefined && (typeof value !== "object" || filled(value));
}

function embeddingTargets({ targetModules }: LoraPeftConfig): string[] {
  return Array.isArray(targetModules)
    ? [...new Set(targetModules as string[])].filter((name) => EMBEDDING_NAMES.includes(lastPart(name)))
    : [];
}

function checkValues(config: LoraPeftConfig, problems: ProblemList): void {
  if (config.r < 1) problems.add("ADAPTER_RANK_INVALID", `the rank (r) must be a whole number of at least 1, found ${config.r}`);
  if (config.loraDropout < 0 || config.loraDropout >= 1)
    problems.add("PEFT_CONFIG_INVALID", `lora_dropout must be at least 0 and below 1, found ${config.loraDropout}`);
  const layers = config.layersToTransform === null ? [] : [config.layersToTransform].flat();
  if (layers.some((layer) => layer < 0))
    problems.add("PEFT_CONFIG_INVALID", `layers_to_transform has a negative layer: ${JSON.stringify(layers)}`);
  if (typeof config.targetModules === "string" && config.layersToTransform !== null) {
    problems.add("PEFT_CONFIG_INVALID", "layers_to_transform cannot stand beside target_modules that are one text (PEFT refuses it too)");
  }
}

/**
 * The PEFT configuration of an adapter, as written to disk. Give it what
 * `storedAdapter` makes of an adapter, so that PEFT resolves it to the same modules.
 */
export function peftFromAdapter(adapter: AdapterSpec): LoraPeftConfig {
  return loraPeftConfig({
    taskType: "CAUSAL_LM",
    peftVersion: adapter.peftVersion ?? PEFT_VERSION,
    baseModelNameOrPath: adapter.baseModel,
    inferenceMode: true,
    r: adapter.rank,
    loraAlpha: adapter.alpha,
    loraDropout: adapter.dropout,
    targetModules: adapter.targetModules,
    excludeModules: adapter.excludeModules,
    layersToTransform: adapter.layersToTransform,
    layersPattern: adapter.layersPattern,
    modulesToSave: adapter.modulesToSave.length === 0 ? null : adapter.modulesToSave,
    initLoraWeights: adapter.initLoraWeights,
    bias: adapter.bias,
    ensureWeightTying: adapter.ensureWeightTying,
  });
}
