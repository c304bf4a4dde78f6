import { randomUUID } from "node:crypto";
import { link, lstat, mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { HeirloomError } from "../errors.ts";

/** Bytes of one system call: Node 20 refuses lengths beyond 32 bits. */
const MAX_CALL_BYTES = 2 ** 30;

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
  const isFolderMade = error instanceof Error && "syscall" in error && error.syscall === "mkdir";
  if (code === "ENOTDIR" || (code === "EEXIST" && isFolderMade)) {
    return new HeirloomError("WRITE_FAILED", "expected a folder to write to, found a file in its place", {
      where: path,
      hint: "name another output folder (--output), or move the file away",
      cause: error,
    });
  }
  return new HeirloomError("WRITE_FAILED", `could not be written (${code || String(error)})`, { where: path, cause: error });
}

/** Makes what was renamed or made in a folder outlast a power cut. */
async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** How something is written. */
export interface AtomicWriteOptions {
  /** False: what has come to bear the name meanwhile stays, and OUTPUT_EXISTS is thrown. @defaultValue true */
  readonly replace?: boolean;
}

const errorCode = (error: unknown): string => (error instanceof Error && "code" in error ? String(error.code) : "");

function outputExists(path: string, cause: unknown): HeirloomError {
  return new HeirloomError("OUTPUT_EXISTS", "expected a name that is free, found something that was put there meanwhile", {
    where: path,
    hint: "name another output, or move this one away",
    cause,
  });
}

/** Gives a file its name if nothing bears it. @throws OUTPUT_EXISTS */
async function placeFile(temporary: string, path: string): Promise<void> {
  try {
    await link(temporary, path);
  } catch (error) {
    if (errorCode(error) === "EEXIST") throw outputExists(path, error);
    // A file system without hard links: what is left is to look, and to be quick.
    const stands = await lstat(path).catch((reason: unknown) => {
      if (errorCode(reason) === "ENOENT") return null;
      throw reason;
    });
    if (stands !== null) throw outputExists(path, error);
    await rename(temporary, path);
    return;
  }
  await rm(temporary, { force: true }).catch(() => undefined);
}

/** Gives a folder its name if nothing, or an empty folder, bears it. @throws OUTPUT_EXISTS */
async function placeFolder(temporary: string, folder: string): Promise<void> {
  await rename(temporary, folder).catch((error: unknown) => {
    throw ["EEXIST", "ENOTEMPTY", "ENOTDIR"].includes(errorCode(error)) ? outputExists(folder, error) : error;
  });
}

/** Gives a folder its name; one that bore it is set aside first, and put back if that fails. */
async function replaceFolder(temporary: string, folder: string, old: string): Promise<void> {
  const replaced = await rename(folder, old).then(
    () => true,
    () => false, // there was none
  );
  await rename(temporary, folder).catch(async (error: unknown) => {
    if (replaced) await rename(old, folder);
    throw error;
  });
}

/**
 * Writes a file whole or not at all: to a temporary name in the same folder,
 * fsync, rename, fsync of the folder. On failure the old file stands untouched.
 */
export async function writeFileAtomic(
  path: string,
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  { replace = true }: AtomicWriteOptions = {},
): Promise<void> {
  const folder = dirname(path);
  const temporary = join(folder, `.${basename(path)}.${randomUUID()}.tmp`);
  try {
    await mkdir(folder, { recursive: true });
    const handle = await open(temporary, "wx");
    try {
      for await (const chunk of chunks) {
        let done = 0;
        while (done < chunk.byteLength)
          done += (await handle.write(chunk, done, Math.min(MAX_CALL_BYTES, chunk.byteLength - done))).bytesWritten;
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
    await (replace ? rename(temporary, path) : placeFile(temporary, path));
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

/** Ends of the names under which folders are filled and set aside; what bears one is left over from a crash. */
const TEMPORARY = /^\.(.+)\.[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.(?:tmp|old)$/;

/**
 * Makes a folder whole or not at all: filled under another name, fsynced,
 * renamed. A folder that was there is set aside first and put back if the new
 * one cannot take its place.
 */
export async function writeFolderAtomic(
  folder: string,
  fill: (temporary: string) => Promise<void>,
  { replace = true }: AtomicWriteOptions = {},
): Promise<void> {
  const parent = dirname(folder);
  const stem = join(parent, `.${basename(folder)}.${randomUUID()}`);
  const [temporary, old] = [`${stem}.tmp`, `${stem}.old`];
  try {
    await mkdir(temporary, { recursive: true });
    await fill(temporary);
    await syncFolder(temporary);
    await (replace ? replaceFolder(temporary, folder, old) : placeFolder(temporary, folder));
    await syncFolder(parent);
    // The new folder stands: that the old one cannot be cleared away is no reason to call it a failure.
    await rm(old, { recursive: true, force: true }).catch(() => undefined);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true }).catch(() => undefined);
    throw error instanceof HeirloomError ? error : writeError(error, folder);
  }
}

/**
 * Removes a folder whole or not at all: it loses its name at once, so that no
 * half of it is ever found under it. @throws WRITE_FAILED
 */
export async function removeFolderAtomic(folder: string): Promise<void> {
  const doomed = join(dirname(folder), `.${basename(folder)}.${randomUUID()}.tmp`);
  try {
    await rename(folder, doomed);
    await rm(doomed, { recursive: true, force: true });
  } catch (error) {
    throw writeError(error, folder);
  }
}

/** No export is without a write for a day. */
const ABANDONED_MS = 24 * 3600 * 1000;

/** What a temporary name was made for; a temporary folder may itself have been an output. */
function madeFor(name: string): string | null {
  const original = TEMPORARY.exec(name)?.[1];
  return original === undefined ? null : (madeFor(original) ?? original);
}

/** When something was last written to, with what lies in it. */
async function lastWritten(path: string): Promise<number> {
  const found = await lstat(path);
  const inside = found.isDirectory() ? await Promise.all((await readdir(path)).map((name) => lastWritten(join(path, name)))) : [];
  return Math.max(found.mtimeMs, ...inside);
}

/**
 * Removes what killed processes left of one output, which may be gigabytes; what was written to within a day may be
 * another process's at work. A fault is no reason not to write.
 */
export async function sweepAbandoned(output: string, now = Date.now()): Promise<void> {
  const parent = dirname(output);
  for (const name of await readdir(parent).catch(() => [])) {
    if (!name.endsWith(".tmp") || madeFor(name) !== basename(output)) continue;
    const path = join(parent, name);
    const written = await lastWritten(path).catch(() => now);
    if (now - written > ABANDONED_MS) await rm(path, { recursive: true, force: true }).catch(() => undefined);
  }
}

/**
 * Removes what a crash during {@link writeFolderAtomic}, {@link writeFileAtomic} or
 * {@link removeFolderAtomic} left in a folder, and puts a folder that was set aside
 * back if it has no successor.
 *
 * @param isOthers names that look the same but are not left over: they are let be
 * @throws WRITE_FAILED
 */
export async function sweepTemporaries(folder: string, isOthers: (name: string) => boolean = () => false): Promise<void> {
  try {
    const names = await readdir(folder);
    for (const name of [...names]) {
      const original = TEMPORARY.exec(name)?.[1];
      if (original === undefined || isOthers(name)) continue;
      if (name.endsWith(".old") && !names.includes(original)) {
        await rename(join(folder, name), join(folder, original));
        names.push(original);
      } else await rm(join(folder, name), { recursive: true, force: true });
    }
  } catch (error) {
    throw writeError(error, folder);
  }
}
