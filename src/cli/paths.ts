import { resolve } from "node:path";

/** A path from the command line, absolute; addresses such as `hf://owner/name` stay as they are. */
export function pathFrom(folder: string, path: string): string {
  return /^[a-z][a-z0-9+.-]*:\/\//.test(path) ? path : resolve(folder, path);
}

/** {@link pathFrom} as optional properties: those that are undefined are left out. */
export function optionalPaths<K extends string>(folder: string, paths: Readonly<Record<K, string | undefined>>): { [P in K]?: string } {
  const given = Object.entries<string | undefined>(paths).filter((entry): entry is [K, string] => entry[1] !== undefined);
  return Object.fromEntries(given.map(([name, path]) => [name, pathFrom(folder, path)])) as { [P in K]?: string };
}
