import { lstat } from "node:fs/promises";
import { HeirloomError } from "../core/index.ts";

/** Refuses to write over something. @throws OUTPUT_EXISTS */
export async function refuseExisting(path: string): Promise<void> {
  const exists = await lstat(path).then(
    () => true,
    () => false,
  );
  if (!exists) return;
  throw new HeirloomError("OUTPUT_EXISTS", "expected a name that is free, found something there already", {
    where: path,
    hint: "name another output with -o, or move this one away",
  });
}

/** Ends a job that was asked to stop; what it was writing is cleared away. @throws INTERRUPTED */
export function throwIfStopped(stopRequested: () => boolean): void {
  if (stopRequested()) throw new HeirloomError("INTERRUPTED", "interrupted; nothing was written");
}
