import type { ProblemList } from "../core/index.ts";
import { INPUT_EMBEDDING, type ModelSpec, type ModuleSpec, modelModules, OUTPUT_EMBEDDING } from "../model/index.ts";
import { missingName } from "./names.ts";
import type { AdapterSpec, TokenRows } from "./types.ts";

/** The indices by the name that they were given for. */
function indicesByName({ trainableTokenIndices: indices }: AdapterSpec): [name: string, indices: readonly number[]][] {
  if (indices === null) return [];
  return Array.isArray(indices)
    ? [[INPUT_EMBEDDING, indices as readonly number[]]]
    : Object.entries(indices as Readonly<Record<string, readonly number[]>>);
}

function checkIndices(module: ModuleSpec, indices: readonly number[], problems: ProblemList): void {
  const rows = module.shape[0] ?? 0;
  const outside = indices.find((index) => index < -rows || index >= rows); // PyTorch counts negative ones from the end
  if (outside === undefined) return;
  problems.add("ADAPTER_TARGET_MISSING", `expected token indices below ${rows}, the rows of "${module.path}", found ${outside}`, {
    details: { target: module.path, index: outside },
  });
}

/**
 * The rows of embeddings that are trained one by one, in module order. As in PEFT a name matches by the plain end of
 * the path; on a tied base the head's rows are those of the embedding unless they were given other indices.
 */
export function resolveTokenRows(spec: ModelSpec, adapter: AdapterSpec, problems: ProblemList): TokenRows[] {
  const modules = modelModules(spec);
  const rows = new Map<string, readonly number[]>();
  for (const [name, indices] of indicesByName(adapter)) {
    const found = modules.filter(({ path }) => path.endsWith(name));
    if (found.length === 0) {
      const { message, facts } = missingName("module with trainable tokens", name, modules);
      problems.add("ADAPTER_TARGET_MISSING", message, facts);
    }
    for (const module of found) {
      checkIndices(module, indices, problems);
      if (!rows.has(module.path)) rows.set(module.path, indices);
    }
  }
  const [embedding, head] = [rows.get(INPUT_EMBEDDING), rows.get(OUTPUT_EMBEDDING)];
  const differs = embedding !== undefined && head !== undefined && embedding.join() !== head.join();
  const tied = spec.tieWordEmbeddings && embedding !== undefined && !differs;
  if (differs && spec.tieWordEmbeddings && adapter.ensureWeightTying) {
    problems.add("PEFT_CONFIG_INVALID", "ensure_weight_tying with different trainable tokens for embedding and head (PEFT refuses it too)");
  }
  return modules.flatMap(({ path, shape }): TokenRows[] => {
    if (tied && path === OUTPUT_EMBEDDING) return [{ module: path, shape: [embedding.length, shape[1] ?? 0], tiedWith: INPUT_EMBEDDING }];
    const own = rows.get(path);
    return own === undefined ? [] : [{ module: path, shape: [own.length, ...shape.slice(1)] }];
  });
}
