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

/** A positional argument that names a run. */
export const runArgument = (placeholder: string) =>
  ({ brief: "Folder of a run, its id, or how its id begins or ends", placeholder, parse: (text: string) => text }) as const;
