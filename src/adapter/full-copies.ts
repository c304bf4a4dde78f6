import type { ProblemList } from "../core/index.ts";
import { containerModules, INPUT_EMBEDDING, type ModelSpec, modelModules, moduleParameters, OUTPUT_EMBEDDING } from "../model/index.ts";
import { EMBEDDING_NAMES, lastPart, missingName } from "./names.ts";
import { translatePythonPattern } from "./python-pattern.ts";
import type { AdapterSpec, FullCopy } from "./types.ts";

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
  const head = names.findIndex((name) => translatePythonPattern(String.raw`(^|.*\.)${name}($|\..*)`, "match").test(OUTPUT_EMBEDDING));
  return head < 0 ? names : names.filter((_, i) => i !== head);
}

/**
 * The parameters that the adapter copies in full, in module order. As in PEFT a
 * name matches by the plain end of the path: `norm` also means every `…layernorm`.
 */
export function resolveFullCopies(spec: ModelSpec, adapter: AdapterSpec, problems: ProblemList): FullCopy[] {
  const modules = modelModules(spec);
  const names = effectiveModulesToSave(spec, adapter);
  const tied = tiesCopies(spec, adapter);
  for (const name of new Set(names)) {
    const blocks = containerModules(spec).filter((path) => path.endsWith(name));
    if (blocks[0] !== undefined) {
      problems.add("ADAPTER_UNSUPPORTED", `modulesToSave "${name}" means whole blocks ("${blocks[0]}"), which is not supported`, {
        hint: "name single modules, such as embed_tokens and lm_head",
        details: { feature: "modules_to_save", module: name },
      });
    } else if (!modules.some(({ path }) => path.endsWith(name))) {
      const { message, facts } = missingName("module to save", name, modules);
      problems.add("ADAPTER_TARGET_MISSING", message, facts);
    }
  }
  return modules.flatMap((module) => {
    const sharesEmbedding = tied && module.path === OUTPUT_EMBEDDING;
    if (!sharesEmbedding && !names.some((name) => module.path.endsWith(name))) return [];
    return moduleParameters(spec, module).map(({ name, shape }) => ({
      module: module.path,
      parameter: name,
      shape,
      ...(sharesEmbedding ? { tiedWith: INPUT_EMBEDDING } : {}),
    }));
  });
}
