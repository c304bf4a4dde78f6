import type { LedgerEntry } from "./types.ts";

/** A tensor of a ledger, or one that `inspect` shows. */
type Tensor = Omit<LedgerEntry, "state">;

/** A module of a ledger with everything below it, or several numbered ones that are alike. */
export interface ModuleNode {
  /** Last part of its path; `0 … 31` for numbered modules that are alike. */
  readonly name: string;
  /** How many modules the node stands for. */
  readonly count: number;
  /** Sums over all modules that the node stands for, and all below them. */
  readonly tensors: number;
  readonly parameters: number;
  readonly trainable: number;
  readonly bytes: number;
  /** The module's own tensors; of modules that are alike, those of the first. */
  readonly entries: readonly Tensor[];
  readonly children: readonly ModuleNode[];
}

interface Branch {
  readonly entries: Tensor[];
  readonly children: Map<string, Branch>;
}

const newBranch = (): Branch => ({ entries: [], children: new Map() });

function branchesOf(entries: readonly Tensor[]): Branch {
  const root = newBranch();
  for (const entry of entries) {
    let at = root;
    for (const part of entry.module === "" ? [] : entry.module.split(".")) {
      const next = at.children.get(part) ?? newBranch();
      at.children.set(part, next);
      at = next;
    }
    at.entries.push(entry);
  }
  return root;
}

/** What makes two modules alike: everything but their names. */
function signature(node: ModuleNode): string {
  const own = node.entries.map(({ role, shape, dtype, bytes, trainable, group }) => [role, shape, dtype, bytes, trainable, group]);
  return JSON.stringify([own, node.children.map((child) => [child.name, signature(child)])]);
}

function merged(nodes: readonly ModuleNode[]): ModuleNode {
  const [first] = nodes as readonly [ModuleNode, ...ModuleNode[]];
  const last = nodes.at(-1) ?? first;
  const sum = (of: (node: ModuleNode) => number): number => nodes.reduce((total, node) => total + of(node), 0);
  return {
    ...first,
    name: nodes.length === 1 ? first.name : `${first.name} … ${last.name}`,
    count: nodes.length,
    tensors: sum(({ tensors }) => tensors),
    parameters: sum(({ parameters }) => parameters),
    trainable: sum(({ trainable }) => trainable),
    bytes: sum(({ bytes }) => bytes),
  };
}

/** Joins runs of numbered siblings that are alike: the layers of a model, the experts of a layer. */
function joined(children: readonly ModuleNode[]): ModuleNode[] {
  const runs: { readonly signature: string; readonly nodes: ModuleNode[] }[] = [];
  for (const child of children) {
    const own = /^\d+$/.test(child.name) ? signature(child) : "";
    const run = runs.at(-1);
    if (own !== "" && run?.signature === own && Number(run.nodes.at(-1)?.name) + 1 === Number(child.name)) run.nodes.push(child);
    else runs.push({ signature: own, nodes: [child] });
  }
  return runs.map(({ nodes }) => merged(nodes));
}

/** Numbered siblings by number, others in the ledger's order. */
function inOrder(children: readonly (readonly [string, Branch])[]): readonly (readonly [string, Branch])[] {
  return children.every(([name]) => /^\d+$/.test(name)) ? [...children].sort(([a], [b]) => Number(a) - Number(b)) : children;
}

function nodeOf(name: string, { entries, children }: Branch): ModuleNode {
  const below = inOrder([...children]).map(([child, branch]) => nodeOf(child, branch));
  const sum = (own: (entry: Tensor) => number, of: (node: ModuleNode) => number): number =>
    entries.reduce((total, entry) => total + own(entry), 0) + below.reduce((total, node) => total + of(node), 0);
  return {
    name,
    count: 1,
    tensors: sum(
      () => 1,
      (node) => node.tensors,
    ),
    parameters: sum(
      ({ parameters }) => parameters,
      (node) => node.parameters,
    ),
    trainable: sum(
      ({ parameters, trainable }) => (trainable ? parameters : 0),
      (node) => node.trainable,
    ),
    bytes: sum(
      ({ bytes }) => bytes,
      (node) => node.bytes,
    ),
    entries,
    children: joined(below),
  };
}

/**
 * The modules of a ledger as a tree, from the names of its tensors alone, so of
 * any architecture. The root stands for the whole and has no name.
 */
export function moduleTree(entries: readonly Tensor[]): ModuleNode {
  return nodeOf("", branchesOf(entries));
}
