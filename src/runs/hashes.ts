import { createHash, type Hash } from "node:crypto";
import type { ByteSource, Folder } from "../core/index.ts";
import { openFile } from "../core/node/index.ts";

const CHUNK_BYTES = 8 * 1024 * 1024;

/** SHA-256 by file name. */
export type HashedFiles = Readonly<Record<string, string>>;

/** A file as it was when it was read; null: written down before files were hashed. */
export interface HashedFile {
  readonly path: string;
  readonly bytes: number | null;
  readonly sha256: string | null;
}

/** Feeds bytes `start` to `end` to a hash, some at a time. */
export async function hashRange(hash: Hash, source: ByteSource, start: number, end: number): Promise<void> {
  for (let at = start; at < end; at += CHUNK_BYTES) hash.update(await source.read(at, Math.min(end, at + CHUNK_BYTES)));
}

async function hashSource(source: ByteSource): Promise<string> {
  const hash = createHash("sha256");
  await hashRange(hash, source, 0, source.size);
  return hash.digest("hex");
}

/** Hashes a file of any size. @throws FILE_MISSING, FILE_UNREADABLE */
export async function hashFile(path: string): Promise<{ readonly path: string; readonly bytes: number; readonly sha256: string }> {
  const source = await openFile(path);
  try {
    return { path, bytes: source.size, sha256: await hashSource(source) };
  } finally {
    await source.close();
  }
}

/** What makes an adapter or model what it is: weights and their configuration. Records beside them are no part of it. */
const WEIGHTS = /^(?:adapter_config\.json|config\.json|(?:adapter_model|model)(?:-\d+-of-\d+)?\.(?:safetensors|bin)(?:\.index\.json)?)$/;

/** SHA-256 of each file with weights, and of their configuration, in an adapter's or model's folder. */
export async function hashWeights(folder: Folder): Promise<HashedFiles> {
  return hashNamed(
    folder,
    (await folder.list()).filter((file) => WEIGHTS.test(file)),
  );
}

/** SHA-256 of the files named. */
export async function hashNamed(folder: Folder, names: readonly string[]): Promise<HashedFiles> {
  const found: Record<string, string> = {};
  for (const name of names) found[name] = await hashSource(await folder.open(name));
  return found;
}

/** Names of the files in which two sets of hashes differ, sorted. */
export function differingFiles(a: HashedFiles, b: HashedFiles): string[] {
  return [...new Set([...Object.keys(a), ...Object.keys(b)])].filter((name) => a[name] !== b[name]).sort();
}
