import type { RunSummary } from "./summary.ts";

/** A run and those that continued its adapters. */
export interface RunNode {
  readonly run: RunSummary;
  readonly children: readonly RunNode[];
}

/** What several runs continue that is not a run of the store: an adapter from elsewhere, or a run that is gone. */
export interface OutsideParent {
  readonly parent: string;
  readonly children: readonly RunNode[];
}

/** The family of a store's runs, the oldest first. */
export interface RunForest {
  readonly roots: readonly RunNode[];
  readonly outside: readonly OutsideParent[];
}

function byTime(a: RunSummary, b: RunSummary): number {
  return `${a.createdAt} ${a.name}` < `${b.createdAt} ${b.name}` ? -1 : 1;
}

/** Runs by their parents. A run is told once, whatever its record claims. */
export function runForest(runs: readonly RunSummary[]): RunForest {
  const sorted = [...runs].sort(byTime);
  const ids = new Set(sorted.map(({ id }) => id));
  const childrenOf = new Map<string, RunSummary[]>();
  for (const run of sorted) if (run.parent !== null) childrenOf.set(run.parent, [...(childrenOf.get(run.parent) ?? []), run]);
  const told = new Set<RunSummary>();
  const node = (run: RunSummary): RunNode => {
    told.add(run);
    const children = (childrenOf.get(run.id) ?? []).filter((child) => !told.has(child));
    return { run, children: children.map(node) };
  };
  const roots = sorted.filter(({ parent }) => parent === null).map(node);
  const outside = [...childrenOf]
    .filter(([parent]) => !ids.has(parent))
    .map(([parent, children]) => ({ parent, children: children.map(node) }));
  // Records that claim each other as parents: edited by hand.
  const rest = sorted.filter((run) => !told.has(run)).flatMap((run) => (told.has(run) ? [] : [node(run)]));
  return { roots: [...roots, ...rest], outside };
}
