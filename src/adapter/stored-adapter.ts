import { INPUT_EMBEDDING, type ModelSpec, modelModules, OUTPUT_EMBEDDING } from "../model/index.ts";
import { effectiveModulesToSave } from "./full-copies.ts";
import { moduleScales } from "./module-patterns.ts";
import { lastPart } from "./names.ts";
import { resolveTargets } from "./resolve-targets.ts";
import { effectiveTargets, targetsAllLinear } from "./tied-targets.ts";
import type { AdapterSpec, ModulePattern } from "./types.ts";

/**
 * The adapter as PEFT would write it down once it is on a model: `all-linear` as
 * the names that it stands for (PEFT forbids a choice of layers beside the word),
 * and the names of tied copies and targets as PEFT rewrites them.
 *
 * PEFT writes patterns in the order of their text, and takes the first that matches. Where that would
 * give a module another rank or scaling than the order meant here, every module is written by its path.
 */
export function storedAdapter(spec: ModelSpec, adapter: AdapterSpec): AdapterSpec {
  const stored = { ...adapter, modulesToSave: effectiveModulesToSave(spec, adapter), targetModules: storedTargets(spec, adapter) };
  const sorted = { ...stored, rankPattern: inTextOrder(adapter.rankPattern), alphaPattern: inTextOrder(adapter.alphaPattern) };
  if (sameScales(spec, adapter, sorted)) return sorted;
  const { lora } = resolveTargets(spec, adapter);
  const byPath = (of: "rank" | "alpha"): ModulePattern =>
    Object.fromEntries(lora.filter((target) => target[of] !== adapter[of]).map((target) => [exactly(target.module), target[of]]));
  return { ...stored, rankPattern: inTextOrder(byPath("rank")), alphaPattern: inTextOrder(byPath("alpha")) };
}

function storedTargets(spec: ModelSpec, adapter: AdapterSpec): AdapterSpec["targetModules"] {
  if (!targetsAllLinear(adapter)) return effectiveTargets(spec, adapter);
  const linear = modelModules(spec).filter(({ kind, path }) => kind === "Linear" && path !== OUTPUT_EMBEDDING && path !== INPUT_EMBEDDING);
  return [...new Set(linear.map(({ path }) => lastPart(path)))];
}

/** A pattern that means one path only. */
function exactly(path: string): string {
  return `^${path.replaceAll(".", String.raw`\.`)}`;
}

function inTextOrder(pattern: ModulePattern): ModulePattern {
  return Object.fromEntries(Object.entries(pattern).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function sameScales(spec: ModelSpec, adapter: AdapterSpec, other: AdapterSpec): boolean {
  const [a, b] = [moduleScales(adapter), moduleScales(other)];
  return modelModules(spec).every(({ path }) => a(path).rank === b(path).rank && a(path).alpha === b(path).alpha);
}
