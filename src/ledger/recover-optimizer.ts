import { type OptimizerOrder, type OrderedGroup, optimizerOrders } from "./optimizer-index.ts";
import type { LedgerEntry } from "./types.ts";

/** An optimizer's groups as a file has them: a shape per index, null where no state tells it. */
export type StatedGroups = readonly (readonly (readonly number[] | null)[])[];

/** Where lengths fit and shapes do not: torch loads such a state without a word. */
export interface ShapeConflict {
  readonly index: number;
  readonly name: string;
  readonly expected: readonly number[];
  readonly found: readonly number[];
}

/** What the indices of an optimizer's state mean. */
export type RecoveredOptimizer =
  | {
      readonly kind: "recovered";
      readonly order: OptimizerOrder;
      /** Name of each group. */
      readonly groupNames: readonly string[];
      /** Live names per group, in the order of their indices. */
      readonly groups: readonly (readonly string[])[];
      /** Tensors that the optimizer does not hold. */
      readonly leftOut: readonly string[];
    }
  | { readonly kind: "conflict"; readonly order: OptimizerOrder; readonly conflict: ShapeConflict }
  /** The number of tensors, or which of several equal ones they are, cannot be told. */
  | { readonly kind: "unknown"; readonly reason: string };

const sameShape = (entry: LedgerEntry, shape: readonly number[] | null): boolean =>
  shape === null || (entry.shape.length === shape.length && entry.shape.every((size, i) => size === shape[i]));

/** Sets of tensors that trainers leave out, the ordinary ones first. */
function hypotheses(entries: readonly LedgerEntry[]): ((entry: LedgerEntry) => boolean)[] {
  const copies = [...new Set(entries.filter(({ role }) => role === "full_copy").map(({ module }) => module))];
  return [
    () => true,
    ({ role }) => role !== "full_copy",
    ...copies.map((module) => (entry: LedgerEntry) => entry.role !== "full_copy" || entry.module !== module),
    ({ role }) => role === "full_copy",
    ({ role }) => role !== "lora_A",
    ({ role }) => role === "lora_B",
    ({ role }) => role !== "bias",
    ({ role }) => role !== "lora_magnitude",
  ];
}

function lengthsFit(groups: readonly OrderedGroup[], stated: StatedGroups): boolean {
  return groups.length === stated.length && groups.every(({ entries }, i) => entries.length === stated[i]?.length);
}

function firstConflict(groups: readonly OrderedGroup[], stated: StatedGroups): ShapeConflict | null {
  let index = 0;
  for (const [g, { entries }] of groups.entries()) {
    for (const [i, entry] of entries.entries()) {
      const found = stated[g]?.[i] ?? null;
      if (found !== null && !sameShape(entry, found)) return { index, name: entry.name, expected: entry.shape, found };
      index++;
    }
  }
  return null;
}

/** The only way in which `shapes` can be picked from `entries` in order; null if there is none or more than one. */
function onlySubsequence(entries: readonly LedgerEntry[], shapes: readonly (readonly number[] | null)[]): LedgerEntry[] | null {
  const pick = (order: readonly LedgerEntry[], wanted: typeof shapes): LedgerEntry[] => {
    const picked: LedgerEntry[] = [];
    for (const entry of order) if (picked.length < wanted.length && sameShape(entry, wanted[picked.length] ?? null)) picked.push(entry);
    return picked;
  };
  // The leftmost and the rightmost pick are the same exactly if there is only one.
  const left = pick(entries, shapes);
  const right = pick(entries.toReversed(), shapes.toReversed()).reverse();
  return left.length === shapes.length && left.every((entry, i) => entry === right[i]) ? left : null;
}

function recovered(order: OptimizerOrder, groups: readonly OrderedGroup[], all: readonly LedgerEntry[]): RecoveredOptimizer {
  const held = new Set(groups.flatMap(({ entries }) => entries));
  return {
    kind: "recovered",
    order,
    groupNames: groups.map(({ name }) => name),
    groups: groups.map(({ entries }) => entries.map(({ name }) => name)),
    leftOut: all.filter((entry) => !held.has(entry)).map(({ name }) => name),
  };
}

/**
 * Finds out which tensors an optimizer's indices mean. Its file has no names, so
 * the known ways to order and to leave out are tried, and each must fit in the
 * number of tensors per group and in every shape.
 *
 * @param entries - what may have been trained, in `named_parameters()` order
 */
export function recoverOptimizer(entries: readonly LedgerEntry[], stated: StatedGroups): RecoveredOptimizer {
  let conflict: RecoveredOptimizer | null = null;
  for (const keeps of hypotheses(entries)) {
    for (const { order, groups } of optimizerOrders(entries.filter(keeps))) {
      if (!lengthsFit(groups, stated)) continue;
      const found = firstConflict(groups, stated);
      if (found === null) return recovered(order, groups, entries);
      conflict ??= { kind: "conflict", order, conflict: found };
    }
  }
  for (const { order, groups } of optimizerOrders(entries)) {
    if (groups.length !== stated.length) continue;
    const picked = groups.map(({ entries: own }, i) => onlySubsequence(own, stated[i] ?? []));
    if (!picked.includes(null)) {
      const named = groups.map(({ name }, i) => ({ name, entries: picked[i] ?? [] }));
      return recovered(order, named, entries);
    }
  }
  if (conflict !== null) return conflict;
  const count = stated.reduce((sum, group) => sum + group.length, 0);
  return {
    kind: "unknown",
    reason: `it holds ${count} tensors in ${stated.length} groups, and no known way to train some of the ${entries.length} gives these`,
  };
}
