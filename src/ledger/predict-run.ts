import { type AdapterSpec, PEFT_VERSION } from "../adapter/index.ts";
import type { AdapterConfig, RunConfig } from "../config/index.ts";
import type { ModelSpec } from "../model/index.ts";
import { predictLedger } from "./predict.ts";
import type { GroupRule, Ledger } from "./types.ts";

/** The adapter that a configuration describes. */
export function adapterFromConfig(config: AdapterConfig, base: string): AdapterSpec {
  return {
    rank: config.rank,
    alpha: config.alpha,
    dropout: config.dropout,
    targetModules: config.targetModules,
    excludeModules: config.excludeModules,
    layersToTransform: config.layers,
    layersPattern: null,
    modulesToSave: config.modulesToSave,
    bias: "none",
    ensureWeightTying: config.ensureWeightTying,
    initLoraWeights: config.init === "gaussian" ? "gaussian" : true,
    baseModel: base,
    peftVersion: PEFT_VERSION,
  };
}

/**
 * What a run must train, from its configuration and the base's config alone.
 *
 * @param groups the configuration's learning-rate groups, rates worked out or not
 * @throws what `predictLedger` throws
 */
export function predictRun(config: RunConfig, spec: ModelSpec, groups: readonly GroupRule[]): Ledger {
  const { adapter, quantization } = config;
  return predictLedger(spec, adapter === null ? null : adapterFromConfig(adapter, config.base), groups, {
    baseDtype: "F32", // dense base tensors are held in fp32 whatever their file has
    quantization: spec.quantization ?? (quantization === null ? null : { doubleQuant: quantization.doubleQuant, skipModules: ["lm_head"] }),
    fullParameter: config.fullParameter,
    fullCopyDtype: adapter?.fullCopyDtype === "bf16" ? "BF16" : "F32",
  });
}
