import { randomUUID } from "node:crypto";
import { mkdir, open, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { HeirloomError } from "../errors.ts";

/** Turns a failed write to `path` into a typed error; a full disk has its own code. */
export function writeError(error: unknown, path: string): HeirloomError {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new HeirloomError("DISK_FULL", "no space is left on the device; nothing half-written was left behind", {
      where: path,
      hint: "free some space or name another output folder, then run the same command again",
      cause: error,
    });
  }
  return new HeirloomError("WRITE_FAILED", `could not be written (${code || String(error)})`, { where: path, cause: error });
}

/** Makes what was renamed or made in a folder outlast a power cut. */
export async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Writes a file whole or not at all: to a temporary name in the same folder,
 * fsync, rename, fsync of the folder. On failure the old file stands untouched.
 */
export async function writeFileAtomic(path: string, chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void> {
  const folder = dirname(path);
  const temporary = join(folder, `.${basename(path)}.${randomUUID()}.tmp`);
  try {
    await mkdir(folder, { recursive: true });
    const handle = await open(temporary, "wx");
    try {
      for await (const chunk of chunks) {
        let done = 0;
        while (done < chunk.byteLength) done += (await handle.write(chunk, done, chunk.byteLength - done)).bytesWritten;
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
    await syncFolder(folder);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw error instanceof HeirloomError ? error : writeError(error, path);
  }
}

/** {@link writeFileAtomic} for text. */
export function writeTextAtomic(path: string, text: string): Promise<void> {
  return writeFileAtomic(path, [new TextEncoder().encode(text)]);
}
