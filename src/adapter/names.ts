import { nearestName, type Problem } from "../core/index.ts";
import type { ModuleSpec } from "../model/index.ts";
import { type PythonPattern, translatePythonPattern } from "./python-pattern.ts";

/** Message and facts for a module name that the model lacks. */
export function missingName(
  what: string,
  name: string,
  modules: readonly ModuleSpec[],
): { message: string; facts: Omit<Problem, "code" | "message"> } {
  const parts = [...new Set(modules.map(({ path }) => lastPart(path)))];
  const near = nearestName(lastPart(name), parts);
  return {
    message: `the ${what} "${name}" matches no module of the model`,
    facts: {
      hint: near === undefined ? `the model has: ${parts.join(", ")}` : `did you mean "${near}"?`,
      details: { target: name, nearest: near ?? null, known: parts },
    },
  };
}

/** `model.layers.0.mlp.up_proj` → `up_proj`. */
export function lastPart(path: string): string {
  return path.slice(path.lastIndexOf(".") + 1);
}

/** Last parts of names that PEFT takes for embeddings (`EMBEDDING_LAYER_NAMES`). */
export const EMBEDDING_NAMES: readonly string[] = ["embed_tokens", "lm_head"];

/** PEFT's test whether a path is, or lies under, a name; the name goes into the pattern as it is, so it can be one too. */
export function coversPath(name: string): PythonPattern {
  return translatePythonPattern(String.raw`(^|.*\.)${name}($|\..*)`, "match");
}
