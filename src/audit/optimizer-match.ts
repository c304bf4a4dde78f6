import type { SavedOptimizer } from "../formats/index.ts";
import { inUsualOrder, type Ledger, type LedgerEntry, type RecoveredOptimizer, recoverOptimizer } from "../ledger/index.ts";
import type { TrainerFiles } from "./trainer-checkpoint.ts";

/** An optimizer's state held against the stored tensors. */
export interface OptimizerMatch {
  /** How its indices could be matched with tensors; null if it has names. */
  readonly recovery: RecoveredOptimizer | null;
  /** Live names that it updated, and the group of each (empty with names); null if the indices could not be matched. */
  readonly trained: ReadonlyMap<string, string> | null;
  /** Parameters that it was given, in all groups. */
  readonly parameterCount: number;
  /** Live names of stored, trainable tensors that it does not hold. */
  readonly leftOut: readonly string[];
  /** Live names that it holds and never updated. */
  readonly withoutState: readonly string[];
  /** False if the order of tensors is only the usual one, as there is no base to tell. */
  readonly isOrdered: boolean;
}

/** What can have been trained: of an adapter its own tensors, of a model all of them. */
function candidatesOf(ledger: Ledger): readonly LedgerEntry[] {
  const own = ledger.entries.filter(({ trainable }) => trainable);
  return own.length > 0 ? own : ledger.entries;
}

function matchNames(names: readonly string[], { state }: SavedOptimizer, ledger: Ledger): OptimizerMatch {
  const given = new Set(names);
  const withoutState = names.filter((_, index) => state.size > 0 && !state.has(index));
  const trained = new Map(names.filter((name) => !withoutState.includes(name)).map((name) => [name, ""]));
  const leftOut = candidatesOf(ledger).flatMap(({ name }) => (given.has(name) ? [] : [name]));
  return { recovery: null, trained, parameterCount: given.size, leftOut, withoutState, isOrdered: true };
}

function matchIndices(optimizer: SavedOptimizer, ledger: Ledger, isOrdered: boolean): OptimizerMatch {
  const candidates = candidatesOf(ledger);
  const stated = optimizer.groups.map(({ indices }) => indices.map((index) => optimizer.state.get(index)?.shape ?? null));
  const recovery = recoverOptimizer(isOrdered ? candidates : inUsualOrder(candidates), stated);
  const shared = { recovery, parameterCount: stated.flat().length, isOrdered };
  if (recovery.kind !== "recovered") return { ...shared, trained: null, leftOut: [], withoutState: [] };
  const trained = new Map<string, string>();
  const withoutState: string[] = [];
  // Plain SGD keeps no state at all: there, being in a group is all the evidence.
  const keepsState = optimizer.state.size > 0;
  for (const [g, names] of recovery.groups.entries()) {
    for (const [i, name] of names.entries()) {
      if (keepsState && !optimizer.state.has(optimizer.groups[g]?.indices[i] ?? -1)) withoutState.push(name);
      else trained.set(name, recovery.groupNames[g] ?? "");
    }
  }
  return { ...shared, trained, leftOut: recovery.leftOut, withoutState };
}

/**
 * Which tensors a checkpoint's optimizer trained; null if it has none that could be read.
 *
 * @param isOrdered whether the ledger is in `named_parameters()` order (a base was given)
 */
export function matchOptimizer({ optimizer, namedOptimizer }: TrainerFiles, ledger: Ledger, isOrdered: boolean): OptimizerMatch | null {
  if (optimizer === null) return null;
  return namedOptimizer === null ? matchIndices(optimizer, ledger, isOrdered) : matchNames(namedOptimizer, optimizer, ledger);
}
