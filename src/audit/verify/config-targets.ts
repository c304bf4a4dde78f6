import { type PythonPattern, translatePythonPattern } from "../../adapter/index.ts";
import type { LoraPeftConfig } from "../../formats/index.ts";
import { isEmbedding, isHead, lastPart } from "./keys.ts";
import type { BaseModule } from "./types.ts";

/** Heads that PEFT saves by itself, by task (`ModulesToSaveWrapper` defaults of its task classes). */
const TASK_COPIES: Readonly<Record<string, readonly string[]>> = {
  SEQ_CLS: ["classifier", "score"],
  TOKEN_CLS: ["classifier", "score"],
  QUESTION_ANS: ["qa_outputs"],
};

/** True if `modules_to_save`, the task or tied copies say that the module is stored as a full copy. */
export function isDeclaredCopy(config: LoraPeftConfig, module: string): boolean {
  const names = [...(config.modulesToSave ?? []), ...(TASK_COPIES[config.taskType ?? ""] ?? [])];
  const path = `.${module}.`;
  // PEFT wraps every module whose path ends in the name; what lies below one is part of its copy.
  if (names.some((name) => module.endsWith(name) || path.includes(`.${name}.`))) return true;
  return config.ensureWeightTying && isHead(module);
}

function tester(names: string | readonly string[] | null): (path: string) => boolean {
  if (names === null) return () => false;
  if (typeof names === "string") {
    const pattern = translatePythonPattern(names, "fullmatch");
    return (path) => pattern.test(path);
  }
  return (path) => names.some((name) => path === name || path.endsWith(`.${name}`));
}

function layerTest(config: LoraPeftConfig): (path: string) => boolean {
  const layers = config.layersToTransform === null ? [] : [config.layersToTransform].flat();
  if (layers.length === 0) return () => true;
  const given = config.layersPattern === null ? [] : [config.layersPattern].flat();
  // PEFT: re.match(r".*?\.<pattern>\.(\d+)\.", path); any name without a pattern.
  const before = (given.length === 0 ? ["[^.]*"] : given).map((p) => translatePythonPattern(String.raw`.*?\.(?:${p})\.`, "fullmatch"));
  return (path) => {
    const at = path.search(/\.\d+\./);
    const layer = at < 0 ? Number.NaN : Number.parseInt(path.slice(at + 1), 10);
    return layers.includes(layer) && before.some((pattern) => pattern.test(path.slice(0, at + 1)));
  };
}

/**
 * Which modules get LoRA matrices, as PEFT's `check_target_module_exists` decides; null where the file
 * does not tell (`target_modules: null` means defaults of PEFT's that depend on the model's type).
 *
 * @throws ADAPTER_PATTERN_UNSUPPORTED
 */
export function targetTest(config: LoraPeftConfig): ((module: BaseModule) => boolean) | null {
  const { targetModules } = config;
  if (targetModules === null) return null;
  const excluded = tester(config.excludeModules);
  // Only names that PEFT reads as modules to save; the task's heads are among them.
  const saved = (path: string) => (config.modulesToSave ?? []).some((name) => `.${path}.`.includes(`.${name}.`));
  const inLayers = layerTest(config);
  if (typeof targetModules === "string" && targetModules.toLowerCase() === "all-linear") {
    return ({ path, shape }) =>
      !excluded(path) && !saved(path) && (shape === null || shape.length === 2) && !isEmbedding(path) && inLayers(path);
  }
  if (typeof targetModules === "string") {
    const pattern = translatePythonPattern(targetModules, "fullmatch");
    return ({ path }) => !excluded(path) && !saved(path) && pattern.test(path);
  }
  const exact = new Set(targetModules);
  return ({ path }) => !excluded(path) && !saved(path) && (exact.has(path) || (hasSuffix(exact, path) && inLayers(path)));
}

/** Whether a proper end of the path, from a dot on, is among the names. */
function hasSuffix(names: ReadonlySet<string>, path: string): boolean {
  for (let at = path.indexOf("."); at >= 0; at = path.indexOf(".", at + 1)) if (names.has(path.slice(at + 1))) return true;
  return false;
}

/** What a pattern table says of a module: PEFT takes the first key that matches its whole path or the end of it. */
export function patternLookup(table: Readonly<Record<string, number>> | null): {
  readonly of: (module: string) => number | undefined;
  readonly unused: (modules: Iterable<string>) => string[];
} {
  const rules = Object.entries(table ?? {}).map(([key, value]) => ({ key, value, pattern: patternOf(key) }));
  return {
    of: (module) => rules.find(({ pattern }) => pattern.test(module))?.value,
    unused: (modules) => {
      const all = [...modules];
      return rules.filter(({ pattern }) => !all.some((module) => pattern.test(module))).map(({ key }) => key);
    },
  };
}

// PEFT's get_pattern_key: re.match(rf"(.*\.)?({key})$", module)
function patternOf(key: string): PythonPattern {
  return translatePythonPattern(String.raw`(.*\.)?(${key})$`, "match");
}

/** Names of a list that stand for no module of `paths`. */
export function unmatchedNames(names: readonly string[], paths: Iterable<string>): string[] {
  const left = new Set(names);
  for (const path of paths) {
    if (left.size === 0) break;
    left.delete(lastPart(path));
    for (const name of left) if (path === name || path.endsWith(`.${name}`)) left.delete(name);
  }
  return [...left];
}
