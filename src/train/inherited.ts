import type { AdapterSpec } from "../adapter/index.ts";
import type { AdapterFolder } from "../folders/index.ts";
import type { AdapterRecord } from "../runs/index.ts";

/** A part of run.yaml, as plain values. */
export type Values = Record<string, unknown>;

/** The adapter section of a configuration, as the adapter's own files have it. */
function adapterValues(spec: AdapterSpec, fullCopyDtype: "fp32" | "bf16"): Values {
  return {
    rank: spec.rank,
    alpha: spec.alpha,
    rankPattern: spec.rankPattern,
    alphaPattern: spec.alphaPattern,
    rslora: spec.useRslora,
    dropout: spec.dropout,
    targetModules: spec.targetModules,
    excludeModules: spec.excludeModules,
    layers: spec.layersToTransform,
    modulesToSave: spec.modulesToSave,
    ensureWeightTying: spec.ensureWeightTying,
    init: spec.initLoraWeights === "gaussian" ? "gaussian" : "kaiming",
    fullCopyDtype,
  };
}

function storedDtypes({ tensors }: AdapterFolder, isLora: boolean): string[] {
  const found = [...tensors.tensors.values()].filter(({ name }) => name.includes(".lora_") === isLora).map(({ dtype }) => dtype);
  return [...new Set(found)];
}

/** Precision of the stored full copies' masters: bf16 if all are, else fp32. */
function storedCopyDtype(opened: AdapterFolder): "fp32" | "bf16" {
  const dtypes = storedDtypes(opened, false);
  return dtypes.length === 1 && dtypes[0] === "BF16" ? "bf16" : "fp32";
}

/** The adapter section that an adapter's own files make, and what of them is kept in another form from now on. */
export function storedAdapterValues(opened: AdapterFolder): { values: Values; notes: string[] } {
  const { spec } = opened;
  const [lora, copies] = [storedDtypes(opened, true), storedDtypes(opened, false)];
  const widened = lora.filter((dtype) => dtype !== "F32");
  const notes = [
    ...(widened.length === 0 ? [] : [`LoRA matrices: stored as ${widened.join(", ")}, trained and saved as F32 from now on`]),
    ...(copies.length === 0 ? [] : [`full copies: stored as ${copies.join(", ")}, trained from ${storedCopyDtype(opened)} masters`]),
    ...(spec.initLoraWeights === false ? ["init_lora_weights: false; the matrices are read from the file, so it has no effect"] : []),
  ];
  return { values: adapterValues(spec, storedCopyDtype(opened)), notes };
}

/** What no file of an adapter made elsewhere says, and what is taken for granted instead. */
function assumptionsOf(opened: AdapterFolder): string[] {
  const { spec } = opened;
  return [
    "the adapter has no record of its training, so the following was assumed",
    `base model: the one given; it cannot be checked (the adapter names ${JSON.stringify(spec.baseModel)})`,
    "quantization of the base, learning rates, schedule, weight decay and data settings: as configured here, not as it was trained",
    "learning-rate groups: none but those configured here",
    ...storedAdapterValues(opened).notes,
  ];
}

function recordedValues(opened: AdapterFolder, { config }: AdapterRecord): Values {
  const { optimizer, learningRate, weightDecay, betas, epsilon, maxGradNorm, lossNormalization } = config.training;
  const { schedule, batchSize, accumulation, seed, groups } = config.training;
  const { maxLength, packing, template, onTooLong, tools, trainOn } = config.data;
  return {
    base: config.base,
    quantization: config.quantization ?? "none",
    adapter: adapterValues(opened.spec, config.adapter?.fullCopyDtype ?? storedCopyDtype(opened)),
    training: {
      optimizer,
      learningRate,
      weightDecay,
      betas,
      epsilon,
      maxGradNorm,
      lossNormalization,
      schedule,
      batchSize,
      accumulation,
      seed,
      groups,
    },
    data: { maxLength, packing, template, onTooLong, tools, trainOn },
    // With another number of rows in a batch, the losses before and after loading would differ in their last bits.
    evaluation: { batchSize: config.evaluation.batchSize },
    engine: config.engine,
  };
}

/** What a continuation takes over, and what had to be assumed because no record says it. */
export function inheritedValues(opened: AdapterFolder): { values: Values; assumptions: string[] } {
  const { spec, record } = opened;
  if (record !== null) return { values: recordedValues(opened, record), assumptions: [] };
  const base = spec.baseModel === null || spec.baseModel === "" ? {} : { base: spec.baseModel };
  return { values: { ...base, adapter: adapterValues(spec, storedCopyDtype(opened)) }, assumptions: assumptionsOf(opened) };
}
