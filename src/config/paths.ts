import type { RunConfig } from "./schema.ts";

/** Keys whose text values are paths: resolved against the folder of the file that they stand in. */
const PATH_KEYS: readonly string[] = ["base", "output", "data.train", "data.eval", "data.template", "evaluation.answers"];

const ABSOLUTE = /^(?:[\\/]|[A-Za-z]:[\\/]|[a-z][a-z0-9+.-]*:\/\/)/;

/** Joins a path to a folder and resolves `.` and `..`; absolute paths and addresses (`hf://…`) stay as they are. */
export function joinPath(folder: string, path: string): string {
  if (ABSOLUTE.test(path)) return path;
  const joined: string[] = [];
  const parts = `${folder}/${path}`.split(/[\\/]/);
  for (const part of parts) {
    const last = joined.at(-1);
    if (part === "..") {
      if (last === undefined || last === "..") joined.push(part);
      else if (last !== "") joined.pop();
    } else if (part !== "." && (part !== "" || joined.length === 0)) {
      joined.push(part);
    }
  }
  const result = joined.join("/");
  return result === "" ? (folder.startsWith("/") ? "/" : ".") : result;
}

/** The folder part of a file's path. */
export function folderOf(path: string): string {
  const end = Math.max(path.lastIndexOf("/"), path.lastIndexOf("\\"));
  if (end < 0) return ".";
  return end === 0 ? "/" : path.slice(0, end);
}

function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** In a list of paths an entry may be a table with more than the path. */
function resolveTable(table: Readonly<Record<string, unknown>>, folder: string): unknown {
  return "path" in table ? { ...table, path: resolveValue(table["path"], folder) } : table;
}

function resolveValue(value: unknown, folder: string): unknown {
  if (typeof value === "string") return value === "" ? value : joinPath(folder, value);
  if (Array.isArray(value)) return value.map((item: unknown) => (isTable(item) ? resolveTable(item, folder) : resolveValue(item, folder)));
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, resolveValue(item, folder)]));
  }
  return value;
}

/** A copy of `values` with every path in it resolved against `folder`. */
export function resolvePaths(values: Readonly<Record<string, unknown>>, folder: string, prefix = ""): Record<string, unknown> {
  const result: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
  for (const [key, value] of Object.entries(values)) {
    const path = prefix + key;
    const isParent = PATH_KEYS.some((known) => known.startsWith(`${path}.`));
    if (PATH_KEYS.includes(path)) result[key] = resolveValue(value, folder);
    else if (isParent && typeof value === "object" && value !== null && !Array.isArray(value)) {
      result[key] = resolvePaths(value as Record<string, unknown>, folder, `${path}.`);
    } else result[key] = value;
  }
  return result;
}

/** A configuration whose relative paths start from `folder`: what is recorded must not depend on where a process was started. */
export function absolutePaths(config: RunConfig, folder: string): RunConfig {
  // The values of the keys that are paths change, the shape does not.
  return resolvePaths(config, folder) as unknown as RunConfig;
}
