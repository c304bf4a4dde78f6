import { HeirloomError, ProblemList } from "../core/index.ts";
import { type LoraPeftConfig, loraPeftConfig, type OtherPeftConfig, type PeftConfig } from "../formats/index.ts";
import type { AdapterSpec } from "./types.ts";

/** The PEFT release whose files are written. */
export const PEFT_VERSION = "0.21.0";

/** Keys of the oldest releases that change nothing about what the adapter computes. */
const HARMLESS_KEYS: readonly string[] = ["merge_weights"];

const filled = (value: unknown): boolean => typeof value === "object" && value !== null && Object.keys(value).length > 0;

/** PEFT features whose tensors are not known here: the key that turns one on, its name, and when it is on. */
const UNDESCRIBED: readonly (readonly [key: string, feature: string, on: (config: LoraPeftConfig) => boolean])[] = [
  ["target_parameters", "LoRA on bare parameters", (c) => filled(c.targetParameters)],
  ["layer_replication", "replicated layers", (c) => filled(c.layerReplication)],
  ["megatron_config", "Megatron layers", (c) => c.megatronConfig !== null],
  ["use_qalora", "QALoRA", (c) => c.useQalora],
  ["use_bdlora", "block-diagonal LoRA", (c) => c.useBdlora !== null && c.useBdlora !== false],
  ["arrow_config", "Arrow routing", (c) => c.arrowConfig !== null],
  ["kasa_config", "KaSA", (c) => c.kasaConfig !== null],
  ["monteclora_config", "Monte Carlo LoRA", (c) => c.montecloraConfig !== null],
  ["velora_config", "VeLoRA", (c) => c.veloraConfig !== null],
  ["target_modules", "default targets (null)", (c) => c.targetModules === null],
];

/** Notes that a feature, named by its key in adapter_config.json, is not supported. */
export function refuseFeature(problems: ProblemList, feature: string, key: string, value: unknown): void {
  problems.add("ADAPTER_UNSUPPORTED", `${feature} (${key}: ${JSON.stringify(value)}) is not supported`, {
    details: { feature: key, value },
  });
}

/** The error for a PEFT type that is no LoRA. */
export function otherTypeError({ peftType }: OtherPeftConfig): HeirloomError {
  return new HeirloomError("ADAPTER_UNSUPPORTED", `the PEFT type "${peftType}" is not supported, only LORA is`, {
    details: { feature: "peft_type", value: peftType },
  });
}

/**
 * {@link adapterFromPeft}, noting what is wrong instead of throwing; the description holds if nothing is.
 *
 * @param refuse what else is to be refused, after what cannot be described and before wrong values
 */
export function describeLora(
  config: LoraPeftConfig,
  problems: ProblemList,
  refuse: (adapter: AdapterSpec) => void = () => undefined,
): AdapterSpec {
  for (const [key, feature, on] of UNDESCRIBED) if (on(config)) refuseFeature(problems, feature, key, config.raw[key] ?? null);
  for (const key of config.unknownKeys) {
    const value = config.raw[key];
    if (!HARMLESS_KEYS.includes(key) && isSet(value)) refuseFeature(problems, "an unknown setting", key, value);
  }
  const adapter = adapterOf(config);
  refuse(adapter);
  checkValues(config, problems);
  return adapter;
}

function adapterOf(config: LoraPeftConfig): AdapterSpec {
  const { targetModules } = config;
  return {
    rank: config.r,
    alpha: config.loraAlpha,
    rankPattern: config.rankPattern ?? {},
    alphaPattern: config.alphaPattern ?? {},
    useRslora: config.useRslora,
    useDora: config.useDora,
    dropout: config.loraDropout,
    // PEFT makes a set of a list; real files name modules twice.
    targetModules: typeof targetModules === "string" ? targetModules : [...new Set(targetModules)],
    excludeModules: nonEmpty(config.excludeModules),
    layersToTransform: config.layersToTransform === null ? null : nonEmpty([config.layersToTransform].flat()),
    layersPattern: nonEmpty(config.layersPattern),
    modulesToSave: config.modulesToSave ?? [],
    bias: config.bias,
    loraBias: config.loraBias,
    trainableTokenIndices: config.trainableTokenIndices,
    ensureWeightTying: config.ensureWeightTying,
    // null is what False is: the matrices are left as PyTorch makes them.
    initLoraWeights: config.initLoraWeights ?? false,
    aloraInvocationTokens: config.aloraInvocationTokens,
    taskType: config.taskType,
    baseModel: config.baseModelNameOrPath,
    peftVersion: config.peftVersion,
  };
}

/**
 * What a PEFT configuration means. Every LoRA feature whose tensors follow from the configuration is described;
 * what would have to be left out is refused, all at once and by name. Whether the engine can compute it is another
 * question: see `adapterForEngine`.
 *
 * @throws ADAPTER_UNSUPPORTED, ADAPTER_RANK_INVALID, PEFT_CONFIG_INVALID
 */
export function adapterFromPeft(config: PeftConfig): AdapterSpec {
  if (config.kind === "other") throw otherTypeError(config);
  const problems = new ProblemList();
  const adapter = describeLora(config, problems);
  problems.throwIfAny();
  return adapter;
}

function nonEmpty<T extends string | readonly unknown[]>(value: T | null): T | null {
  return value === null || value.length === 0 ? null : value;
}

function isSet(value: unknown): boolean {
  return value !== null && value !== false && value !== "" && value !== undefined && (typeof value !== "object" || filled(value));
}

function checkRanks(config: LoraPeftConfig, problems: ProblemList): void {
  if (config.r < 1) problems.add("ADAPTER_RANK_INVALID", `the rank (r) must be a whole number of at least 1, found ${config.r}`);
  for (const [pattern, rank] of Object.entries(config.rankPattern ?? {})) {
    if (Number.isInteger(rank) && rank >= 1) continue;
    problems.add("ADAPTER_RANK_INVALID", `the rank of ${JSON.stringify(pattern)} must be a whole number of at least 1, found ${rank}`, {
      where: "rank_pattern",
    });
  }
}

function checkValues(config: LoraPeftConfig, problems: ProblemList): void {
  checkRanks(config, problems);
  if (config.loraDropout < 0 || config.loraDropout >= 1)
    problems.add("PEFT_CONFIG_INVALID", `lora_dropout must be at least 0 and below 1, found ${config.loraDropout}`);
  const layers = config.layersToTransform === null ? [] : [config.layersToTransform].flat();
  if (layers.some((layer) => layer < 0))
    problems.add("PEFT_CONFIG_INVALID", `layers_to_transform has a negative layer: ${JSON.stringify(layers)}`);
  if (typeof config.targetModules === "string" && config.layersToTransform !== null) {
    problems.add("PEFT_CONFIG_INVALID", "layers_to_transform cannot stand beside target_modules that are one text (PEFT refuses it too)");
  }
  if (config.loraBias && (config.useDora || typeof config.initLoraWeights === "string")) {
    const other = config.useDora ? "use_dora" : `init_lora_weights: ${JSON.stringify(config.initLoraWeights)}`;
    problems.add("PEFT_CONFIG_INVALID", `lora_bias cannot stand beside ${other} (PEFT refuses it too)`);
  }
}

/** An adapter with PEFT's defaults for everything that is not given, made by this version. */
export function adapterSpec(values: Partial<AdapterSpec> & Pick<AdapterSpec, "targetModules">): AdapterSpec {
  const defaults = describeLora(loraPeftConfig({ taskType: "CAUSAL_LM", peftVersion: PEFT_VERSION }), new ProblemList());
  return { ...defaults, ...values };
}

/**
 * The PEFT configuration of an adapter, as written to disk. Give it what
 * `storedAdapter` makes of an adapter, so that PEFT resolves it to the same modules.
 */
export function peftFromAdapter(adapter: AdapterSpec): LoraPeftConfig {
  return loraPeftConfig({
    taskType: adapter.taskType ?? "CAUSAL_LM",
    peftVersion: adapter.peftVersion ?? PEFT_VERSION,
    baseModelNameOrPath: adapter.baseModel,
    inferenceMode: true,
    r: adapter.rank,
    loraAlpha: adapter.alpha,
    rankPattern: adapter.rankPattern,
    alphaPattern: adapter.alphaPattern,
    useRslora: adapter.useRslora,
    useDora: adapter.useDora,
    loraDropout: adapter.dropout,
    targetModules: adapter.targetModules,
    excludeModules: adapter.excludeModules,
    layersToTransform: adapter.layersToTransform,
    layersPattern: adapter.layersPattern,
    modulesToSave: adapter.modulesToSave.length === 0 ? null : adapter.modulesToSave,
    initLoraWeights: adapter.initLoraWeights,
    bias: adapter.bias,
    loraBias: adapter.loraBias,
    trainableTokenIndices: adapter.trainableTokenIndices,
    aloraInvocationTokens: adapter.aloraInvocationTokens,
    ensureWeightTying: adapter.ensureWeightTying,
  });
}
