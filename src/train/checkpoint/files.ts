import { createReadStream } from "node:fs";
import { join } from "node:path";
import { encodeFromF32, type FloatDtype } from "../../codecs/index.ts";
import { HeirloomError, InternalError } from "../../core/index.ts";
import { fileError, writeFileAtomic } from "../../core/node/index.ts";
import { type Parameter, storedLayout } from "../../engine/index.ts";
import { encodeSafetensors, encodeTorchFile, type TensorToWrite, type ValueToSave } from "../../formats/index.ts";
import { hashFile } from "../../runs/index.ts";
import type { Reading } from "./memory.ts";
import { ownSums, type Sums } from "./sums.ts";

/** One file that is to be written; its content is made when its turn comes. */
export type PlannedFile = { readonly name: string } & (
  | { readonly text: string | (() => string) }
  | { readonly tensors: readonly TensorToWrite[] }
  | { readonly torch: ValueToSave }
  /** Another file, as it is. */
  | { readonly copyOf: string }
);

/** Values encoded, hashed and written at a time, so that training's thread is free again in between: some 5 ms of hashing. */
const PIECE_VALUES = 2 ** 21;

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

/** The bytes of a tensor, piece by piece. */
export function* encodedPieces(dtype: FloatDtype, values: Float32Array): Generator<Uint8Array, void, undefined> {
  for (let at = 0; at < values.length; at += PIECE_VALUES) yield encodeFromF32(dtype, values.subarray(at, at + PIECE_VALUES));
}

/** The memory of a tensor as it is, piece by piece. */
export function* bytePieces(values: Uint16Array | Uint8Array): Generator<Uint8Array, void, undefined> {
  for (let at = 0; at < values.length; at += PIECE_VALUES) {
    const piece = values.subarray(at, at + PIECE_VALUES);
    yield new Uint8Array(piece.buffer, piece.byteOffset, piece.byteLength);
  }
}

/** A trained tensor as it is saved, under the name of its file: bf16 masters as their bits, others in `dtype`. */
export function parameterToWrite(parameter: Parameter, read: Reading, dtype: "F32" | "BF16" = "F32"): TensorToWrite {
  const { diskName: name, shape } = parameter;
  if (parameter.masterDtype === "F32")
    return { name, shape, dtype, chunks: () => encodedPieces(dtype, storedLayout(parameter, read(parameter.values))) };
  if (parameter.layout !== "as-stored") throw new InternalError("a bf16 master that is held transposed", { where: parameter.name });
  return { name, shape, dtype: "BF16", chunks: () => bytePieces(read(parameter.values)) };
}

function chunksOf(file: PlannedFile, sums: Sums): Chunks {
  if ("text" in file) return [new TextEncoder().encode(typeof file.text === "string" ? file.text : file.text())];
  if ("tensors" in file) return encodeSafetensors(file.tensors, { format: "pt" });
  // torch.save names the archive after its file.
  if ("torch" in file)
    return encodeTorchFile(file.torch, {
      archiveName: file.name.replace(/\.[^.]*$/, ""),
      crc32: (bytes, before) => sums.crc32(bytes, before),
    });
  return fileChunks(file.copyOf);
}

/** Writes a file into a folder, whole or not at all, and gives its checksum. */
export async function writePlannedFile(folder: string, file: PlannedFile, sums: Sums = ownSums): Promise<FileChecksum> {
  const path = join(folder, file.name);
  const hash = sums.sha256();
  let bytes = 0;
  const hashed = async function* (): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunksOf(file, sums)) {
      hash.update(chunk);
      bytes += chunk.byteLength;
      yield chunk;
    }
  };
  await writeFileAtomic(path, hashed());
  return { name: file.name, bytes, sha256: await hash.digest() };
}

/** Holds the files of a folder against their checksums; all faults at once. @throws CHECKPOINT_INVALID, without a hint: it depends on what else there is; FILE_UNREADABLE where a file cannot be read now */
export async function checkFiles(folder: string, files: readonly FileChecksum[]): Promise<void> {
  const problems = await Promise.all(
    files.map(async ({ name, bytes, sha256 }) => {
      const where = join(folder, name);
      const found = await hashFile(where).catch((error: unknown) => error);
      if (found instanceof HeirloomError) {
        if (found.code === "FILE_UNREADABLE") throw found;
        return { code: "CHECKPOINT_INVALID" as const, message: found.problems[0].message, where };
      }
      const { bytes: size, sha256: sum } = found as Awaited<ReturnType<typeof hashFile>>;
      if (size !== bytes) return { code: "CHECKPOINT_INVALID" as const, message: `expected ${bytes} bytes, found ${size}`, where };
      if (sum === sha256) return null;
      const message = `expected the content that was saved (SHA-256 ${sha256.slice(0, 12)}…), found another (${sum.slice(0, 12)}…)`;
      return { code: "CHECKPOINT_INVALID" as const, message, where };
    }),
  );
  const [first, ...rest] = problems.filter((problem) => problem !== null);
  if (first !== undefined) throw HeirloomError.of([first, ...rest]);
}
