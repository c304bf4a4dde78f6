import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { HeirloomError } from "../../core/index.ts";
import { fileError, writeFileAtomic } from "../../core/node/index.ts";
import { encodeSafetensors, encodeTorchFile, type TensorToWrite, type ValueToSave } from "../../formats/index.ts";
import { hashFile } from "../../runs/index.ts";

/** One file that is to be written, its content still to be encoded from live memory, or encoded already. */
export type PlannedFile = { readonly name: string } & (
  | { readonly text: string }
  | { readonly tensors: readonly TensorToWrite[] }
  | { readonly torch: ValueToSave }
  /** Another file, as it is. */
  | { readonly copyOf: string }
  | { readonly chunks: readonly Uint8Array[] }
);

/** Hashed and written at a time, so that training's thread is free again in between: some 5 ms of hashing. */
const PIECE_BYTES = 8 * 2 ** 20;

/** What a file holds, to tell later whether it still is that. */
export interface FileChecksum {
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
}

type Chunks = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

async function* fileChunks(path: string): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of createReadStream(path)) yield chunk as Uint8Array;
  } catch (error) {
    throw fileError(error, path);
  }
}

function* piecesOf(chunks: readonly Uint8Array[]): Generator<Uint8Array> {
  for (const chunk of chunks) for (let at = 0; at < chunk.byteLength; at += PIECE_BYTES) yield chunk.subarray(at, at + PIECE_BYTES);
}

function chunksOf(file: PlannedFile): Chunks {
  if ("chunks" in file) return piecesOf(file.chunks);
  if ("text" in file) return [new TextEncoder().encode(file.text)];
  if ("tensors" in file) return encodeSafetensors(file.tensors, { format: "pt" });
  // torch.save names the archive after its file.
  if ("torch" in file)
    return encodeTorchFile(file.torch, { archiveName: file.name.replace(/\.[^.]*$/, ""), crc32: (bytes, before) => crc32(bytes, before) });
  return fileChunks(file.copyOf);
}

/** The file with its content encoded into memory of its own: what it is made from may change from now on. */
export async function detached(file: PlannedFile): Promise<PlannedFile> {
  if ("copyOf" in file || "chunks" in file) return file;
  const chunks: Uint8Array[] = [];
  // A chunk may be used again by its encoder.
  for await (const chunk of chunksOf(file)) chunks.push(chunk.slice());
  return { name: file.name, chunks };
}

/** Writes a file into a folder, whole or not at all, and gives its checksum. */
export async function writePlannedFile(folder: string, file: PlannedFile): Promise<FileChecksum> {
  const path = join(folder, file.name);
  const hash = createHash("sha256");
  let bytes = 0;
  const hashed = async function* (): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunksOf(file)) {
      hash.update(chunk);
      bytes += chunk.byteLength;
      yield chunk;
    }
  };
  await writeFileAtomic(path, hashed());
  return { name: file.name, bytes, sha256: hash.digest("hex") };
}

/** Holds the files of a folder against their checksums; all faults at once. @throws CHECKPOINT_INVALID */
export async function checkFiles(folder: string, files: readonly FileChecksum[]): Promise<void> {
  const hint = "resume from an earlier checkpoint: name its folder";
  const problems = await Promise.all(
    files.map(async ({ name, bytes, sha256 }) => {
      const where = join(folder, name);
      const found = await hashFile(where).catch((error: unknown) => error);
      if (found instanceof HeirloomError) return { code: "CHECKPOINT_INVALID" as const, message: found.problems[0].message, where, hint };
      const { bytes: size, sha256: sum } = found as Awaited<ReturnType<typeof hashFile>>;
      if (size !== bytes) return { code: "CHECKPOINT_INVALID" as const, message: `expected ${bytes} bytes, found ${size}`, where, hint };
      if (sum === sha256) return null;
      const message = `expected the content that was saved (SHA-256 ${sha256.slice(0, 12)}…), found another (${sum.slice(0, 12)}…)`;
      return { code: "CHECKPOINT_INVALID" as const, message, where, hint };
    }),
  );
  const [first, ...rest] = problems.filter((problem) => problem !== null);
  if (first !== undefined) throw HeirloomError.of([first, ...rest]);
}
