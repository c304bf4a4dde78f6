import { nearestName, type ProblemList } from "../core/index.ts";
import { type ModelSpec, type ModuleSpec, OUTPUT_EMBEDDING } from "../model/index.ts";
import { coversPath, lastPart, missingName } from "./names.ts";
import { type PythonPattern, translatePythonPattern } from "./python-pattern.ts";
import { targetsAllLinear } from "./tied-targets.ts";
import type { AdapterSpec } from "./types.ts";

/** What matching needs to know of a module. */
export interface Candidate {
  readonly path: string;
  readonly kind: ModuleSpec["kind"] | "block";
  readonly layer: number | null;
}

/** PEFT's `check_target_module_exists`. */
export class TargetMatcher {
  readonly #adapter: AdapterSpec;
  readonly #modules: readonly ModuleSpec[];
  readonly #excluded: (path: string) => boolean;
  readonly #saved: readonly PythonPattern[];
  readonly #layerPatterns: readonly PythonPattern[];
  /** The pattern if the targets are one, else null. */
  readonly #pattern: PythonPattern | null;
  readonly #allLinear: boolean;

  /** @param adapter with targets and modules to save as PEFT rewrites them */
  constructor(adapter: AdapterSpec, modules: readonly ModuleSpec[]) {
    this.#adapter = adapter;
    this.#modules = modules;
    this.#allLinear = targetsAllLinear(adapter);
    this.#pattern =
      typeof adapter.targetModules === "string" && !this.#allLinear ? translatePythonPattern(adapter.targetModules, "fullmatch") : null;
    this.#excluded = exclusionTest(adapter.excludeModules);
    this.#saved = adapter.modulesToSave.map(coversPath);
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
      if (found === 0 && problems.problems.length === 0) {
        const hint = nameHint(targetModules, this.#modules);
        problems.add("ADAPTER_TARGET_MISSING", `the target pattern "${targetModules}" matches no module`, {
          ...(hint === null ? {} : { hint }),
          details: { target: targetModules },
        });
      }
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

/** For a plain name in a pattern's place: a pattern has to match the whole path, a name in a list only its end. */
function nameHint(pattern: string, modules: readonly ModuleSpec[]): string | null {
  if (!/^[\w.]+$/.test(pattern)) return null;
  const parts = [...new Set(modules.map(({ path }) => lastPart(path)))];
  const near = nearestName(lastPart(pattern), parts);
  return near === undefined ? null : `did you mean the list [${near}]? a single text is a pattern for whole module paths`;
}

function missing(problems: ProblemList, message: string, details: Record<string, unknown>): void {
  problems.add("ADAPTER_TARGET_MISSING", message, { details });
}
