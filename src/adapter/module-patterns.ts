import { translatePythonPattern } from "./python-pattern.ts";
import type { AdapterSpec, ModulePattern } from "./types.ts";

/**
 * The number that a pattern gives a module, as PEFT's `get_pattern_key` finds it: the first pattern, in the order of
 * the file, that matches the end of the path from a dot (or the start) on.
 */
function numberFor(patterns: ModulePattern, fallback: number): (path: string) => number {
  const compiled = Object.entries(patterns).map(([key, value]) => ({
    pattern: translatePythonPattern(String.raw`(.*\.)?(${key})$`, "match"),
    value,
  }));
  // A path that is no match of its own name, taken as a pattern, is still looked up by it.
  const named = new Map(Object.entries(patterns));
  return (path) => compiled.find(({ pattern }) => pattern.test(path))?.value ?? named.get(path) ?? fallback;
}

/** The rank and scaling of one module. */
export interface ModuleScale {
  readonly rank: number;
  readonly alpha: number;
  readonly scaling: number;
}

/** Works out rank, alpha and scaling of each module, as PEFT does. @throws ADAPTER_PATTERN_UNSUPPORTED */
export function moduleScales(adapter: AdapterSpec): (path: string) => ModuleScale {
  const rankOf = numberFor(adapter.rankPattern, adapter.rank);
  const alphaOf = numberFor(adapter.alphaPattern, adapter.alpha);
  return (path) => {
    const [rank, alpha] = [rankOf(path), alphaOf(path)];
    return { rank, alpha, scaling: scalingOf(rank, alpha, adapter.useRslora) };
  };
}

/** The factor on B·A. */
export function scalingOf(rank: number, alpha: number, useRslora: boolean): number {
  return alpha / (useRslora ? Math.sqrt(rank) : rank);
}
