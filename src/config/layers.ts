/** Where a value came from. `inherited`: from the adapter or run that is continued. */
export type Source = "flag" | "file" | "preset" | "inherited" | "default";

type Tree = Readonly<Record<string, unknown>>;

/** One source of values, and how to say where in it a path stands. */
export interface Layer {
  readonly source: Exclude<Source, "default">;
  readonly values: Tree;
  /** For messages: `run.yaml:12:3`, `--rank`, `preset qlora`. */
  locate(path: readonly PropertyKey[]): string;
}

/** Keys of which one takes the other's place: a flag `steps` displaces a file's `epochs`. */
const EXCLUSIVE: readonly (readonly [parent: string, keys: readonly string[]])[] = [
  ["training", ["steps", "epochs"]],
  ["training", ["warmupSteps", "warmupRatio"]],
];

function isTree(value: unknown): value is Tree {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function mergeTree(lower: Tree, upper: Tree, path: string): Tree {
  // No prototype, so that a key `__proto__` is a key like any other (and refused as unknown).
  const merged: Record<string, unknown> = Object.assign(Object.create(null) as Record<string, unknown>, lower);
  for (const [parent, keys] of EXCLUSIVE) {
    const displaces = parent === path && keys.some((key) => upper[key] !== undefined && upper[key] !== null);
    if (displaces) for (const key of keys) delete merged[key];
  }
  for (const [key, value] of Object.entries(upper)) {
    const below = merged[key];
    const inner = path === "" ? key : `${path}.${key}`;
    merged[key] = isTree(value) ? mergeTree(isTree(below) ? below : {}, value, inner) : value;
  }
  return merged;
}

function valueAt(values: Tree, parts: readonly string[]): unknown {
  return parts.reduce<unknown>((at, part) => (isTree(at) && Object.hasOwn(at, part) ? at[part] : undefined), values);
}

function withoutKey(values: Tree, [part = "", ...rest]: readonly string[]): Tree {
  const { [part]: inner, ...others } = values;
  return rest.length === 0 || !isTree(inner) ? others : { ...others, [part]: withoutKey(inner, rest) };
}

/**
 * Takes those of `keys` (dotted) out of `values` that `stronger` has a value for.
 * `displaced` holds what was taken out and says something else.
 */
export function withoutDisplaced(
  values: Tree,
  stronger: Tree,
  keys: readonly string[],
): { readonly kept: Tree; readonly displaced: Readonly<Record<string, unknown>> } {
  let kept = values;
  const displaced: Record<string, unknown> = {};
  for (const key of keys) {
    const parts = key.split(".");
    const found = valueAt(values, parts);
    const own = valueAt(stronger, parts);
    if (found === undefined || own === undefined) continue;
    kept = withoutKey(kept, parts);
    if (JSON.stringify(found) !== JSON.stringify(own)) displaced[key] = found;
  }
  return { kept, displaced };
}

/** Merges layers, the first being the strongest; tables merge key by key, lists and values are replaced. */
export function mergeLayers(layers: readonly Layer[]): Tree {
  return layers.toReversed().reduce<Tree>((merged, layer) => mergeTree(merged, layer.values, ""), {});
}

/** The strongest layer that says anything about `path`, or about a value that `path` lies within. */
export function layerOf(layers: readonly Layer[], path: readonly PropertyKey[]): Layer | undefined {
  return layers.find((layer) => {
    let at: unknown = layer.values;
    for (const key of path) {
      // A plain value or list in a table's place stands for the whole of it: `quantization: none`.
      if (!isTree(at)) return at !== undefined;
      if (!Object.hasOwn(at, key)) return false;
      at = at[key as string];
    }
    return at !== undefined;
  });
}

/** The source of every leaf of the resolved configuration, by dotted path; a list is one leaf. */
export function provenanceOf(config: Tree, layers: readonly Layer[]): Record<string, Source> {
  const found: Record<string, Source> = {};
  const visit = (value: unknown, path: readonly string[]): void => {
    if (isTree(value) && Object.keys(value).length > 0) {
      for (const [key, inner] of Object.entries(value)) visit(inner, [...path, key]);
    } else {
      found[path.join(".")] = layerOf(layers, path)?.source ?? "default";
    }
  };
  visit(config, []);
  return found;
}
