import { HeirloomError, ProblemList } from "../core/index.ts";
import {
  containerModules,
  INPUT_EMBEDDING,
  type ModelSpec,
  type ModuleSpec,
  modelModules,
  OUTPUT_EMBEDDING,
  statelessModules,
} from "../model/index.ts";
import { effectiveModulesToSave, resolveFullCopies } from "./full-copies.ts";
import { missingName } from "./names.ts";
import { type PythonPattern, translatePythonPattern } from "./python-pattern.ts";
import type { AdapterSpec, FullCopy, LoraTarget, ResolvedAdapter } from "./types.ts";

/** PEFT's word for all Linear modules but the output embedding; in any case. */
const ALL_LINEAR = "all-linear";

/** True if the targets are written as `all-linear`. */
export function targetsAllLinear(adapter: Pick<AdapterSpec, "targetModules">): boolean {
  return typeof adapter.targetModules === "string" && adapter.targetModules.toLowerCase() === ALL_LINEAR;
}

/**
 * Finds the modules of a model that an adapter touches, exactly as PEFT does:
 * exclusions first, then what lies under a `modulesToSave` name, then the targets.
 * Unlike PEFT, a target, saved module or layer that matches nothing is an error.
 *
 * @throws ADAPTER_TARGET_MISSING naming each entry that matches nothing, with near names
 * @throws ADAPTER_UNSUPPORTED if LoRA would lie on an embedding, the head or another module than Linear
 * @throws ADAPTER_RANK_INVALID, ADAPTER_PATTERN_UNSUPPORTED
 */
export function resolveTargets(spec: ModelSpec, adapter: AdapterSpec): ResolvedAdapter {
  if (!Number.isInteger(adapter.rank) || adapter.rank < 1) {
    throw new HeirloomError("ADAPTER_RANK_INVALID", `the rank must be a whole number of at least 1, found ${adapter.rank}`);
  }
  const problems = new ProblemList();
  if (typeof adapter.targetModules === "string" && !targetsAllLinear(adapter) && adapter.layersToTransform !== null) {
    problems.add("CONFIG_INVALID", "layers cannot be chosen beside targets that are a pattern (PEFT refuses it too)", {
      hint: "put the layer numbers into the pattern",
    });
  }
  const modules = modelModules(spec);
  const fullCopies = resolveFullCopies(spec, adapter, problems);
  const matcher = new TargetMatcher({ ...adapter, modulesToSave: effectiveModulesToSave(spec, adapter) }, modules);
  const found = modules.filter((module) => matcher.matches(module));
  const blocks = [...containerModules(spec), ...statelessModules(spec)].filter((path) =>
    matcher.matches({ path, kind: "block", layer: layerOf(path) }),
  );
  refuseTargets(found, blocks, fullCopies, problems);
  const { rank, alpha } = adapter;
  const lora = found.map(({ path, shape, layer }): LoraTarget => {
    const [outFeatures, inFeatures] = shape as readonly [number, number]; // refused above unless Linear
    return { module: path, inFeatures, outFeatures, rank, alpha, scaling: alpha / rank, layer };
  });
  matcher.reportMissing(problems, spec, lora.length, blocks);
  problems.throwIfAny();
  return { lora, fullCopies, moduleOrder: modules.map(({ path }) => path) };
}

/** The layer number that PEFT reads off a path: one with a part after it. */
function layerOf(path: string): number | null {
  const found = /\.(\d+)\./.exec(path);
  return found === null ? null : Number(found[1]);
}

/** Notes the matched modules that cannot take LoRA matrices; PEFT refuses all but the embeddings too. */
function refuseTargets(
  found: readonly ModuleSpec[],
  blocks: readonly string[],
  fullCopies: readonly FullCopy[],
  problems: ProblemList,
): void {
  const refuse = (message: string, module: string, feature: string, hint: string) =>
    problems.add("ADAPTER_UNSUPPORTED", message, { hint, details: { feature, module } });
  for (const { path, kind } of found) {
    if (path === INPUT_EMBEDDING || path === OUTPUT_EMBEDDING) {
      refuse(
        `LoRA on an embedding is not supported: the targets match "${path}"`,
        path,
        "lora_embedding",
        "leave it out of the targets; list it under modulesToSave to train it in full",
      );
    } else if (kind !== "Linear") {
      refuse(
        `LoRA on a module of type ${kind} is not supported: the targets match "${path}"`,
        path,
        "target_modules",
        "leave it out of the targets",
      );
    } else if (fullCopies.some((copy) => copy.module === path)) {
      refuse(`"${path}" is both a LoRA target and a full copy`, path, "modules_to_save", "name it in one of the two");
    }
  }
  if (blocks[0] === undefined) return;
  const others = blocks.length === 1 ? "" : ` and ${blocks.length - 1} more like it`;
  refuse(
    `the targets match "${blocks[0]}"${others}, which is no linear module (PEFT refuses it too)`,
    blocks[0],
    "target_modules",
    'end the pattern in the names of linear modules, as in ".*(q_proj|v_proj)"',
  );
}

/** What matching needs to know of a module. */
interface Candidate {
  readonly path: string;
  readonly kind: ModuleSpec["kind"] | "block";
  readonly layer: number | null;
}

/** PEFT's `check_target_module_exists`. */
class TargetMatcher {
  readonly #adapter: AdapterSpec;
  readonly #modules: readonly ModuleSpec[];
  readonly #excluded: (path: string) => boolean;
  readonly #saved: readonly PythonPattern[];
  readonly #layerPatterns: readonly PythonPattern[];
  /** The pattern if the targets are one, else null. */
  readonly #pattern: PythonPattern | null;
  readonly #allLinear: boolean;

  constructor(adapter: AdapterSpec, modules: readonly ModuleSpec[]) {
    this.#adapter = adapter;
    this.#modules = modules;
    this.#allLinear = targetsAllLinear(adapter);
    this.#pattern =
      typeof adapter.targetModules === "string" && !this.#allLinear ? translatePythonPattern(adapter.targetModules, "fullmatch") : null;
    this.#excluded = exclusionTest(adapter.excludeModules);
    // PEFT puts the name into the pattern as it is, so a name can be a pattern too.
    this.#saved = adapter.modulesToSave.map((name) => translatePythonPattern(String.raw`(^|.*\.)${name}($|\..*)`, "match"));
    const patterns = adapter.layersPattern === null ? [] : [adapter.layersPattern].flat();
    // PEFT: re.match(r".*?\.<pattern>\.(\d+)\.", path); the text before the number must match, "any name" without a pattern.
    this.#layerPatterns = (patterns.length === 0 ? ["[^.]*"] : patterns).map((p) =>
      translatePythonPattern(String.raw`.*?\.(?:${p})\.`, "fullmatch"),
    );
  }

  matches(module: Candidate): boolean {
    const { path, kind } = module;
    if (this.#excluded(path) || this.#saved.some((pattern) => pattern.test(path))) return false;
    if (this.#allLinear) return kind === "Linear" && path !== OUTPUT_EMBEDDING && this.#inLayers(module);
    if (this.#pattern !== null) return this.#pattern.test(path);
    const names = this.#adapter.targetModules as readonly string[]; // a string is one of the two above
    if (names.includes(path)) return true; // as in PEFT, a full path is not subject to the layer selection
    return names.some((name) => path.endsWith(`.${name}`)) && this.#inLayers(module);
  }

  #inLayers({ path, layer }: Candidate): boolean {
    const layers = this.#adapter.layersToTransform;
    if (layers === null || layers.length === 0) return true;
    if (layer === null || !layers.includes(layer)) return false;
    const number = path.search(/\.\d+\./);
    const before = path.slice(0, number + 1);
    return this.#layerPatterns.some((pattern) => pattern.test(before));
  }

  /** Notes every target and layer that matches nothing at all; what hits `blocks` is refused already. */
  reportMissing(problems: ProblemList, spec: ModelSpec, found: number, blocks: readonly string[]): void {
    const { targetModules, layersToTransform } = this.#adapter;
    for (const layer of layersToTransform ?? []) {
      if (layer < spec.layerCount) continue;
      missing(problems, `layer ${layer} does not exist: the model has layers 0 to ${spec.layerCount - 1}`, { layer });
    }
    if (typeof targetModules === "string") {
      if (found === 0 && problems.problems.length === 0)
        missing(problems, `the target pattern "${targetModules}" matches no module`, { target: targetModules });
      return;
    }
    for (const name of new Set(targetModules)) {
      if ([...this.#modules.map(({ path }) => path), ...blocks].some((path) => path === name || path.endsWith(`.${name}`))) continue;
      const { message, facts } = missingName("target module", name, this.#modules);
      problems.add("ADAPTER_TARGET_MISSING", message, facts);
    }
    if (found === 0 && problems.problems.length === 0) {
      missing(problems, "every target is excluded, saved in full or outside of the chosen layers, so no module gets LoRA matrices", {
        targets: targetModules,
      });
    }
  }
}

function exclusionTest(excluded: AdapterSpec["excludeModules"]): (path: string) => boolean {
  if (excluded === null || excluded.length === 0) return () => false;
  if (typeof excluded === "string") {
    const pattern = translatePythonPattern(excluded, "fullmatch");
    return (path) => pattern.test(path);
  }
  return (path) => excluded.includes(path) || excluded.some((name) => path.endsWith(`.${name}`));
}

function missing(problems: ProblemList, message: string, details: Record<string, unknown>): void {
  problems.add("ADAPTER_TARGET_MISSING", message, { details });
}
