import { type AdapterSpec, adapterSpec, resolveForEngine } from "../adapter/index.ts";
import type { AdapterConfig, RunConfig } from "../config/index.ts";
import type { ModelSpec } from "../model/index.ts";
import { predictLedger } from "./predict.ts";
import { requireTiedChoice } from "./tied-choice.ts";
import type { GroupRule, Ledger } from "./types.ts";

/** The adapter that a configuration describes. */
export function adapterFromConfig(config: AdapterConfig, base: string): AdapterSpec {
  return adapterSpec({
    rank: config.rank,
    alpha: config.alpha,
    // Records of runs before there were patterns lack them.
    rankPattern: config.rankPattern ?? {},
    alphaPattern: config.alphaPattern ?? {},
    useRslora: config.rslora ?? false,
    dropout: config.dropout,
    targetModules: config.targetModules,
    excludeModules: config.excludeModules,
    layersToTransform: config.layers,
    modulesToSave: config.modulesToSave,
    ensureWeightTying: config.ensureWeightTying ?? false,
    initLoraWeights: config.init === "gaussian" ? "gaussian" : true,
    baseModel: base,
  });
}

/**
 * What a run must train, from its configuration and the base's config alone.
 *
 * @param groups the configuration's learning-rate groups, rates worked out or not
 * @throws what `predictLedger` throws; ADAPTER_UNSUPPORTED for an adapter that the engine cannot train; ADAPTER_TIED_CHOICE
 */
export function predictRun(config: RunConfig, spec: ModelSpec, groups: readonly GroupRule[]): Ledger {
  const { quantization } = config;
  const adapter = config.adapter === null ? null : adapterFromConfig(config.adapter, config.base);
  if (adapter !== null && config.adapter !== null) {
    resolveForEngine(spec, adapter);
    requireTiedChoice(spec, config.adapter, adapter);
  }
  return predictLedger(spec, adapter, groups, {
    baseDtype: "F32", // dense base tensors are held in fp32 whatever their file has
    quantization: spec.quantization ?? (quantization === null ? null : { doubleQuant: quantization.doubleQuant, skipModules: ["lm_head"] }),
    fullParameter: config.fullParameter,
    fullCopyDtype: config.adapter?.fullCopyDtype === "bf16" ? "BF16" : "F32",
  });
}
