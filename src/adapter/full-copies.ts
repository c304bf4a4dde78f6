import type { ProblemList } from "../core/index.ts";
import {
  containerModules,
  INPUT_EMBEDDING,
  type ModelSpec,
  type ModuleSpec,
  modelModules,
  moduleParameters,
  OUTPUT_EMBEDDING,
} from "../model/index.ts";
import { coversPath, EMBEDDING_NAMES, lastPart, missingName } from "./names.ts";
import type { AdapterSpec, FullCopy } from "./types.ts";

/** The list of decoder layers: a module of PyTorch's that cannot be called, so PEFT copies it neither. */
const LAYER_LIST = "model.layers";

/** True if the copies of embedding and head are to be one tensor. */
function tiesCopies(spec: ModelSpec, adapter: AdapterSpec): boolean {
  const savesEmbedding = adapter.modulesToSave.some((name) => EMBEDDING_NAMES.includes(lastPart(name)));
  return adapter.ensureWeightTying && spec.tieWordEmbeddings && savesEmbedding;
}

/**
 * `modulesToSave` as PEFT rewrites (and stores) it: with tied copies the embedding's
 * full path is added and the first name that means the head is taken out.
 */
export function effectiveModulesToSave(spec: ModelSpec, adapter: AdapterSpec): readonly string[] {
  if (!tiesCopies(spec, adapter)) return adapter.modulesToSave;
  const names = adapter.modulesToSave.includes(INPUT_EMBEDDING) ? [...adapter.modulesToSave] : [...adapter.modulesToSave, INPUT_EMBEDDING];
  const head = names.findIndex((name) => coversPath(name).test(OUTPUT_EMBEDDING));
  return head < 0 ? names : names.filter((_, i) => i !== head);
}

/** The paths that are copied; a block inside another that is copied too cannot be told apart on disk. */
function copiedPaths(spec: ModelSpec, names: readonly string[], problems: ProblemList): string[] {
  const modules = modelModules(spec);
  const all = [...containerModules(spec), ...modules.map(({ path }) => path)];
  const copied = all.filter((path) => names.some((name) => path.endsWith(name)));
  const refuse = (path: string, why: string, hint: string) => {
    const name = names.find((candidate) => path.endsWith(candidate)) ?? path;
    problems.add("ADAPTER_UNSUPPORTED", `modules_to_save "${name}" means "${path}", ${why}`, {
      hint,
      details: { feature: "modules_to_save", module: name },
    });
  };
  if (copied.includes(LAYER_LIST)) refuse(LAYER_LIST, "a list of blocks, which PEFT refuses too", "name the blocks or their modules");
  for (const path of copied) {
    const outer = copied.find((other) => path.startsWith(`${other}.`) && other !== LAYER_LIST);
    if (outer === undefined) continue;
    refuse(path, `which lies in "${outer}", copied as well`, "name one of the two");
    break; // the others follow from the same two names
  }
  for (const name of new Set(names)) {
    if (all.some((path) => path.endsWith(name))) continue;
    const { message, facts } = missingName("module to save", name, modules);
    problems.add("ADAPTER_TARGET_MISSING", message, facts);
  }
  return copied;
}

/**
 * The parameters that the adapter copies in full, in module order. As in PEFT a
 * name matches by the plain end of the path: `norm` also means every `…layernorm`,
 * and `mlp` the whole block with all that lies in it.
 */
export function resolveFullCopies(spec: ModelSpec, adapter: AdapterSpec, problems: ProblemList): FullCopy[] {
  const copied = copiedPaths(spec, effectiveModulesToSave(spec, adapter), problems);
  const tied = tiesCopies(spec, adapter);
  const copyOf = ({ path }: ModuleSpec) => copied.find((outer) => path === outer || path.startsWith(`${outer}.`));
  return modelModules(spec).flatMap((module): FullCopy[] => {
    const sharesEmbedding = tied && module.path === OUTPUT_EMBEDDING;
    const path = sharesEmbedding ? module.path : copyOf(module);
    if (path === undefined) return [];
    return moduleParameters(spec, module).map(({ name, shape }) => ({
      module: path,
      parameter: name,
      shape,
      ...(sharesEmbedding ? { tiedWith: INPUT_EMBEDDING } : {}),
    }));
  });
}

/** True if a module is copied, by itself or with the block that it lies in. */
export function liesInCopy(path: string, copies: readonly FullCopy[]): boolean {
  return copies.some(({ module }) => path === module || path.startsWith(`${module}.`));
}
