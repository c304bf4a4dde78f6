import { existsSync } from "node:fs";
import { isHeirloomError } from "../core/index.ts";
import type { RunSummary } from "../runs/index.ts";
import { textFlag } from "./config-flags.ts";
import { pathFrom } from "./paths.ts";

/** The flag of commands that look into a folder of runs. */
export interface StoreFlags {
  readonly dir?: string;
}

/** Argument table of {@link StoreFlags}. */
export const storeFlags = { dir: textFlag("Folder that the run folders lie in; default: runs", "path") };

/** The folder of runs that is meant. */
export function storeFolder(folder: string, dir: string | undefined): string {
  return pathFrom(folder, dir ?? "runs");
}

/** The runs of the folder that is meant: none where the default one is not there yet. @throws FILE_MISSING for one that was named */
export async function storeRuns(folder: string, dir: string | undefined): Promise<{ readonly dir: string; readonly runs: RunSummary[] }> {
  const { listRuns } = await import("../runs/index.ts");
  const store = storeFolder(folder, dir);
  return { dir: store, runs: dir === undefined && !existsSync(store) ? [] : await listRuns(store) };
}

/**
 * The path that a word means where a folder is asked for: what is there, or else the run of the store whose id it is, begins or ends.
 * What is neither stays a path, for the command to say that there is none.
 *
 * @throws USAGE if several runs are meant
 */
export async function runPath(folder: string, word: string, dir: string | undefined): Promise<string> {
  const path = pathFrom(folder, word);
  if (path.includes("://") || /[\\/]/.test(word) || existsSync(path)) return path;
  const { findRun } = await import("../runs/index.ts");
  try {
    return findRun(storeFolder(folder, dir), word, path);
  } catch (error) {
    if (isHeirloomError(error) && error.code === "FILE_MISSING") return path;
    throw error;
  }
}

/** A positional argument that names a run. */
export const runArgument = (placeholder: string) =>
  ({ brief: "Folder of a run, its id, or how its id begins or ends", placeholder, parse: (text: string) => text }) as const;
