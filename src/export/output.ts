import { lstat } from "node:fs/promises";
import { HeirloomError } from "../core/index.ts";
import { fileError, sweepAbandoned } from "../core/node/index.ts";

/** How an output is written: what comes to bear its name meanwhile is not ours to replace. */
export const NEW_OUTPUT = { replace: false } as const;

/**
 * Refuses to write over something, and clears away what killed exports to the same name left.
 * @throws OUTPUT_EXISTS; FILE_UNREADABLE if it cannot be seen whether the name is free
 */
export async function refuseExisting(path: string): Promise<void> {
  const exists = await lstat(path).then(
    () => true,
    (error: unknown) => {
      const code = error instanceof Error && "code" in error ? error.code : undefined;
      if (code === "ENOENT" || code === "ENOTDIR") return false; // a file in the place of a folder is told when that is made
      throw fileError(error, path);
    },
  );
  if (!exists) return sweepAbandoned(path);
  throw new HeirloomError("OUTPUT_EXISTS", "expected a name that is free, found something there already", {
    where: path,
    hint: "name another output with -o, or move this one away",
  });
}

/** Ends a job that was asked to stop; what it was writing is cleared away. @throws INTERRUPTED */
export function throwIfStopped(stopRequested: () => boolean): void {
  if (stopRequested()) throw new HeirloomError("INTERRUPTED", "interrupted; nothing was written");
}
