import { INPUT_EMBEDDING, type ModelSpec, modelModules, OUTPUT_EMBEDDING } from "../model/index.ts";
import { effectiveModulesToSave } from "./full-copies.ts";
import { lastPart } from "./names.ts";
import { targetsAllLinear } from "./resolve-targets.ts";
import type { AdapterSpec } from "./types.ts";

/**
 * The adapter as PEFT would write it down once it is on a model: `all-linear` as
 * the names that it stands for (PEFT forbids a choice of layers beside the word),
 * and the names of tied copies as PEFT rewrites them.
 */
export function storedAdapter(spec: ModelSpec, adapter: AdapterSpec): AdapterSpec {
  const modulesToSave = effectiveModulesToSave(spec, adapter);
  if (!targetsAllLinear(adapter)) return { ...adapter, modulesToSave };
  const linear = modelModules(spec).filter(({ kind, path }) => kind === "Linear" && path !== OUTPUT_EMBEDDING && path !== INPUT_EMBEDDING);
  return { ...adapter, modulesToSave, targetModules: [...new Set(linear.map(({ path }) => lastPart(path)))] };
}
