import { INPUT_EMBEDDING, type ModelSpec, OUTPUT_EMBEDDING } from "../model/index.ts";
import { coversPath, EMBEDDING_NAMES, lastPart } from "./names.ts";
import { translatePythonPattern } from "./python-pattern.ts";
import type { AdapterSpec } from "./types.ts";

/** PEFT's word for all Linear modules but the output embedding; in any case. */
const ALL_LINEAR = "all-linear";

/** True if the targets are written as `all-linear`. */
export function targetsAllLinear(adapter: Pick<AdapterSpec, "targetModules">): boolean {
  return typeof adapter.targetModules === "string" && adapter.targetModules.toLowerCase() === ALL_LINEAR;
}

/** True if embedding and head are to get one and the same pair of LoRA matrices. */
export function tiesTargets(spec: ModelSpec, adapter: AdapterSpec): boolean {
  if (!adapter.ensureWeightTying || !spec.tieWordEmbeddings) return false;
  // PEFT looks at the copies first, and at the bare names, not at paths.
  if (adapter.modulesToSave.some((name) => EMBEDDING_NAMES.includes(lastPart(name)))) return false;
  const { targetModules } = adapter;
  if (typeof targetModules !== "string") return targetModules.some((name) => EMBEDDING_NAMES.includes(lastPart(name)));
  const pattern = translatePythonPattern(targetModules, "fullmatch");
  return EMBEDDING_NAMES.some((name) => pattern.test(name));
}

/** `targetModules` as PEFT rewrites (and stores) it: with tied matrices the embedding stands for both. */
export function effectiveTargets(spec: ModelSpec, adapter: AdapterSpec): AdapterSpec["targetModules"] {
  const { targetModules } = adapter;
  if (!tiesTargets(spec, adapter)) return targetModules;
  if (typeof targetModules === "string") {
    const embedding = `^${INPUT_EMBEDDING.replaceAll(".", String.raw`\.`)}$`;
    // Already there in an adapter that PEFT stored.
    return targetModules.endsWith(`|${embedding})`) ? targetModules : `(?:${targetModules}|${embedding})`;
  }
  const names = [...new Set([...targetModules, INPUT_EMBEDDING])];
  const head = names.findIndex((name) => coversPath(name).test(OUTPUT_EMBEDDING));
  return head < 0 ? names : names.filter((_, i) => i !== head);
}

/** True if PEFT takes the embeddings for targets, and so stores their weights beside the matrices. */
export function storesEmbeddings(adapter: AdapterSpec, targetModules: AdapterSpec["targetModules"]): boolean {
  if (adapter.trainableTokenIndices !== null || targetsAllLinear({ targetModules })) return false;
  if (typeof targetModules !== "string") return EMBEDDING_NAMES.some((name) => targetModules.includes(name));
  const pattern = translatePythonPattern(targetModules, "fullmatch");
  return [INPUT_EMBEDDING, OUTPUT_EMBEDDING].some((path) => pattern.test(path));
}
