import type { ResolvedAdapter } from "../adapter/index.ts";
import type { ModelFolder } from "../folders/index.ts";
import type { BaseWeights } from "./base-weights.ts";
import type { LoraPlan } from "./block-plan.ts";
import { type BaseOptions, loadBaseWeights } from "./load-base.ts";

/** LoRA of a resolved adapter, as the graphs need it. */
export function loraPlans(resolved: ResolvedAdapter): Map<string, LoraPlan> {
  return new Map(resolved.lora.map(({ module, rank, scaling }) => [module, { rank, scaling }]));
}

/** Reads a model folder's weights. */
export function loadModelFolder({ tensors, spec }: ModelFolder, options: BaseOptions): Promise<BaseWeights> {
  return loadBaseWeights(tensors, spec, options);
}
