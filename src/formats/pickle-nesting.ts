import { invalidPickle } from "./pickle-tokens.ts";
import { type PickleValue, PythonObject } from "./pickle-values.ts";

/** The deepest state file known, FSDP's optimizer, nests 8 deep. */
const MAX_DEPTH = 64;

/** What a value holds; empty for plain ones. */
function childrenOf(value: PickleValue): readonly PickleValue[] {
  if (Array.isArray(value)) return value as readonly PickleValue[];
  if (value instanceof Map) return [...(value as ReadonlyMap<PickleValue, PickleValue>).entries()].flat();
  if (value instanceof Set) return [...(value as ReadonlySet<PickleValue>)];
  if (value instanceof PythonObject) return [value.callee, ...value.args, value.state];
  return [];
}

interface Visit {
  readonly value: PickleValue;
  readonly children: readonly PickleValue[];
  next: number;
  height: number;
}

/**
 * Refuses values that hold themselves or nest too deeply, so that whoever walks
 * them later cannot run away. Looks at each container once, without recursion.
 *
 * @throws PICKLE_INVALID
 */
export function checkNesting(root: PickleValue, where: string): void {
  const heights = new Map<PickleValue, number>();
  const open = new Set<PickleValue>();
  const path: Visit[] = [];
  const enter = (value: PickleValue): void => {
    const children = childrenOf(value);
    open.add(value);
    path.push({ value, children, next: 0, height: 1 });
  };
  if (typeof root === "object" && root !== null) enter(root);
  for (let visit = path.at(-1); visit !== undefined; visit = path.at(-1)) {
    const child = visit.children[visit.next++];
    if (child === undefined) {
      path.pop();
      open.delete(visit.value);
      heights.set(visit.value, visit.height);
      const parent = path.at(-1);
      if (parent !== undefined) parent.height = Math.max(parent.height, visit.height + 1);
      if (visit.height > MAX_DEPTH) throw invalidPickle(where, 0, `expected values nested at most ${MAX_DEPTH} deep, found more`);
    } else if (typeof child === "object" && child !== null) {
      if (open.has(child)) throw invalidPickle(where, 0, "expected values that end, found one that holds itself");
      const height = heights.get(child);
      if (height === undefined) enter(child);
      else visit.height = Math.max(visit.height, height + 1);
    }
  }
}
