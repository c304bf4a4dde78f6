import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { HeirloomError } from "../core/index.ts";
import { fileError } from "../core/node/index.ts";
import { printable } from "../formats/index.ts";
import { expandBraces, isGlob, matchName } from "./glob.ts";
import { isDataFile } from "./readers/index.ts";

/** Files that a path stands for. */
export interface DataFiles {
  /** In the order of their paths. */
  readonly files: readonly string[];
  /** Hidden files and folders that were passed over, and in a folder those that are no data. */
  readonly skipped: readonly string[];
}

/** Deepest folder looked into, and most entries: beyond them a pattern has gone astray (a whole disk, a loop). */
const MAX_DEPTH = 32;
const MAX_ENTRIES = 1_000_000;

interface Walk {
  readonly files: Set<string>;
  readonly skipped: Set<string>;
  entries: number;
}

/** Texts about a folder, not of it. */
const ABOUT = /^(?:readme|licen[cs]e|notice|changelog)\b.*\.(?:md|txt)$/i;

/** Plain comparison by code units: the same order on every machine, whatever its language. */
const inOrder = (names: Iterable<string>): string[] => [...names].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));

async function entriesOf(folder: string, walk: Walk): Promise<{ name: string; isFolder: boolean }[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: unknown) => {
    throw fileError(error, folder);
  });
  walk.entries += entries.length;
  if (walk.entries > MAX_ENTRIES)
    throw new HeirloomError("USAGE", `expected at most ${MAX_ENTRIES} files and folders, found more`, {
      where: printable(folder),
      hint: "name a folder that holds data only",
    });
  return Promise.all(
    entries.map(async (entry) => {
      // Caches of data keep links into a store.
      const isFolder = entry.isSymbolicLink()
        ? await stat(join(folder, entry.name)).then(
            (found) => found.isDirectory(),
            () => false,
          )
        : entry.isDirectory();
      return { name: entry.name, isFolder };
    }),
  );
}

/** Follows the parts of a pattern from a folder on. */
async function match(folder: string, parts: readonly string[], walk: Walk, depth: number): Promise<void> {
  const [part, ...rest] = parts;
  if (part === undefined || depth > MAX_DEPTH) return;
  if (part !== "**" && !isGlob(part)) {
    await matchEntry(join(folder, part), rest, walk, depth);
    return;
  }
  for (const { name, isFolder } of await entriesOf(folder, walk)) {
    const path = join(folder, name);
    if (name.startsWith(".") && !part.startsWith(".")) {
      if (part === "**" || matchName(part, name)) walk.skipped.add(path);
      continue;
    }
    if (part === "**") {
      if (isFolder) await match(path, parts, walk, depth + 1);
    } else if (matchName(part, name) && (rest.length === 0 ? !isFolder : isFolder)) await matchEntry(path, rest, walk, depth);
  }
  if (part === "**") await match(folder, rest.length === 0 ? ["*"] : rest, walk, depth + 1);
}

async function matchEntry(path: string, rest: readonly string[], walk: Walk, depth: number): Promise<void> {
  if (rest.length > 0) {
    const isFolder = await stat(path).then(
      (found) => found.isDirectory(),
      () => false,
    );
    if (isFolder) await match(path, rest, walk, depth + 1);
  } else if (
    await stat(path).then(
      (found) => found.isFile(),
      () => false,
    )
  )
    walk.files.add(path);
}

/** Every data file of a folder, however deep. */
async function listFolder(folder: string, walk: Walk, depth = 0): Promise<void> {
  if (depth > MAX_DEPTH) return;
  for (const { name, isFolder } of await entriesOf(folder, walk)) {
    const path = join(folder, name);
    if (name.startsWith(".")) walk.skipped.add(path);
    else if (isFolder) await listFolder(path, walk, depth + 1);
    else if (isDataFile(path) && !ABOUT.test(name)) walk.files.add(path);
    else walk.skipped.add(path);
  }
}

/**
 * The files that a path stands for: a file itself, all data files of a folder, or those that a pattern with `*`, `?`, `**` and
 * `{a,b}` matches. A file that is called like a pattern is that file.
 *
 * @throws FILE_MISSING if there is nothing
 */
export async function expandDataPath(path: string): Promise<DataFiles> {
  const found = await stat(path).catch(() => null);
  const walk: Walk = { files: new Set(), skipped: new Set(), entries: 0 };
  if (found?.isDirectory() === true) await listFolder(path, walk);
  else if (found !== null || !isGlob(path)) return { files: [path], skipped: [] };
  else
    for (const pattern of expandBraces(path)) {
      const parts = pattern.split(/[\\/]/);
      const isAbsolute = parts[0] === "";
      await match(
        isAbsolute ? "/" : ".",
        parts.filter((part) => part !== ""),
        walk,
        0,
      );
    }
  if (walk.files.size === 0) {
    const passed = walk.skipped.size === 0 ? "" : ` (${walk.skipped.size} hidden or of other kinds)`;
    throw new HeirloomError("FILE_MISSING", `expected data files, found none${passed}`, {
      where: printable(path),
      hint: "check the pattern; put it in quotes, so that the shell leaves it alone",
    });
  }
  return { files: inOrder(walk.files), skipped: inOrder(walk.skipped) };
}
