import type { LoraPeftConfig, PeftConfig } from "../../formats/index.ts";

/** What an adapter's configuration says of it; null where its PEFT type has no such thing. */
export interface InspectedAdapter {
  /** `lora`, `rslora`, `dora`, or another PEFT type in lower case. */
  readonly variant: string;
  readonly rank: number | null;
  readonly alpha: number | null;
  /** Factor on B·A of modules that no pattern names. */
  readonly scaling: number | null;
  readonly dropout: number | null;
  readonly targetModules: readonly string[] | string | null;
  readonly excludeModules: readonly string[] | string | null;
  /** Layers that get LoRA; null is all. */
  readonly layers: readonly number[] | null;
  readonly modulesToSave: readonly string[] | null;
  readonly ensureWeightTying: boolean;
  readonly bias: string | null;
}

function variantOf(config: PeftConfig): string {
  if (config.kind === "other") return config.peftType.toLowerCase();
  if (config.useDora) return "dora";
  return config.useRslora ? "rslora" : "lora";
}

function scalingOf({ r, loraAlpha, useRslora }: LoraPeftConfig): number | null {
  return r < 1 ? null : loraAlpha / (useRslora ? Math.sqrt(r) : r);
}

/** What `inspect` shows of a configuration. */
export function inspectedAdapter(config: PeftConfig): InspectedAdapter {
  const variant = variantOf(config);
  if (config.kind === "other") {
    return {
      variant,
      rank: null,
      alpha: null,
      scaling: null,
      dropout: null,
      targetModules: null,
      excludeModules: null,
      layers: null,
      modulesToSave: null,
      ensureWeightTying: false,
      bias: null,
    };
  }
  return {
    variant,
    rank: config.r,
    alpha: config.loraAlpha,
    scaling: scalingOf(config),
    dropout: config.loraDropout,
    // Real files repeat names; each counts once.
    targetModules: Array.isArray(config.targetModules) ? [...new Set(config.targetModules as string[])] : config.targetModules,
    excludeModules: config.excludeModules,
    layers: config.layersToTransform === null ? null : [config.layersToTransform].flat(),
    modulesToSave: config.modulesToSave,
    ensureWeightTying: config.ensureWeightTying,
    bias: config.bias,
  };
}
