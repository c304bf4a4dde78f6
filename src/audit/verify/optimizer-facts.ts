import { inUsualOrder, type Ledger, recoverOptimizer } from "../../ledger/index.ts";
import type { OptimizerState, TrainerFiles } from "../trainer-checkpoint.ts";
import type { OptimizerFacts } from "./types.ts";

function recovered(optimizer: OptimizerState, ledger: Ledger, isOrdered: boolean): OptimizerFacts {
  const own = ledger.entries.filter(({ trainable }) => trainable);
  const all = own.length > 0 ? own : ledger.entries;
  const stated = optimizer.groups.map(({ indices }) => indices.map((index) => optimizer.shapes.get(index) ?? null));
  const recovery = recoverOptimizer(isOrdered ? all : inUsualOrder(all), stated);
  const shared = { recovery, parameterCount: stated.flat().length, isOrdered };
  if (recovery.kind !== "recovered") return { ...shared, leftOut: [], withoutState: [] };
  // Plain SGD keeps no state at all: there, being in a group is all the evidence.
  const keepsState = optimizer.shapes.size > 0;
  const withoutState = recovery.groups.flatMap((names, g) =>
    names.filter((_, i) => keepsState && !optimizer.shapes.has(optimizer.groups[g]?.indices[i] ?? -1)),
  );
  return { ...shared, leftOut: recovery.leftOut, withoutState };
}

/** What a checkpoint's optimizer says of the stored tensors; null if it has none that could be read. */
export function optimizerFacts(files: TrainerFiles, ledger: Ledger, isOrdered: boolean): OptimizerFacts | null {
  const { optimizer, namedOptimizer } = files;
  if (namedOptimizer !== null) {
    const held = new Set(namedOptimizer);
    const leftOut = ledger.entries.filter(({ name, trainable }) => trainable && !held.has(name)).map(({ name }) => name);
    return { recovery: null, parameterCount: held.size, leftOut, withoutState: [], isOrdered: true };
  }
  return optimizer === null ? null : recovered(optimizer, ledger, isOrdered);
}
