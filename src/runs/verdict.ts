import { readdir, stat } from "node:fs/promises";
import { isHeirloomError } from "../core/index.ts";
import { differingFiles, type HashedFiles } from "./hashes.ts";

/**
 * What became of something that a run was made from, or made. `moved`: not where it
 * was, but found elsewhere with the same bytes; `unrecorded`: there is no hash to
 * compare with; `unchecked`: it is there, and was not read.
 */
export type LinkState = "ok" | "moved" | "missing" | "changed" | "unreadable" | "unrecorded" | "unchecked";

/** How one thing stands, with what was found instead, in words. */
export interface Verdict {
  readonly state: LinkState;
  /** Null if all is well. */
  readonly found: string | null;
}

const short = (hash: string): string => `${hash.slice(0, 12)}…`;

/** A check whose failures to find or read become verdicts. */
export async function judged(check: () => Promise<Verdict>): Promise<Verdict> {
  try {
    return await check();
  } catch (error) {
    if (!isHeirloomError(error)) throw error;
    return { state: error.code === "FILE_MISSING" ? "missing" : "unreadable", found: error.problems[0].message };
  }
}

/** Hashes of files beside those that were recorded. */
export function comparedFiles(recorded: HashedFiles, now: HashedFiles): Verdict {
  const differing = differingFiles(recorded, now);
  return differing.length === 0 ? { state: "ok", found: null } : { state: "changed", found: `other bytes in ${differing.join(", ")}` };
}

/** A hash beside the one that was recorded; null: there is none. */
export function comparedHash(recorded: string | null, now: string): Verdict {
  if (recorded === null) return { state: "unrecorded", found: null };
  return recorded === now ? { state: "ok", found: null } : { state: "changed", found: `${short(now)} instead of ${short(recorded)}` };
}

/**
 * Whether something is there, without reading it.
 *
 * @param files what has to be in it, if it is a folder whose files were recorded
 */
export async function presence(path: string, files: HashedFiles | null = null): Promise<Verdict> {
  if (path.includes("://")) return { state: "unchecked", found: null };
  const isThere = await stat(path).then(
    () => true,
    () => false,
  );
  if (!isThere) return { state: "missing", found: "no such file or folder" };
  const names = files === null ? [] : await readdir(path).catch((): string[] => []);
  const gone = Object.keys(files ?? {}).filter((name) => !names.includes(name));
  return gone.length === 0 ? { state: "unchecked", found: null } : { state: "missing", found: `no ${gone.join(", ")} in it` };
}
