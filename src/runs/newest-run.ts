import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { RUN_FILES } from "./layout.ts";

/** Beyond this many names a folder is not one of runs, or looking through it would keep an error message waiting. */
const MAX_NAMES = 100_000;

/**
 * The newest run in a folder that runs are made in, for hints: ids begin with the time, so the last by name.
 * @returns its path, or null if the folder holds none or cannot be read
 */
export async function newestRun(folder: string): Promise<string | null> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  if (entries.length > MAX_NAMES) return null;
  const names = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  for (const name of names.sort().reverse()) {
    const files = await readdir(join(folder, name)).catch((): string[] => []);
    if (files.includes(RUN_FILES.record)) return join(folder, name);
  }
  return null;
}
