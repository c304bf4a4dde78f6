import { type ByteSource, HeirloomError, nearestName } from "../core/index.ts";
import { printable } from "./printable.ts";
import { readStoredTensors, type StoredTensor } from "./safetensors-header.ts";

export type { StoredTensor };

/** Tensors by name: one safetensors file or a sharded set, with the same face. */
export interface TensorFile {
  /** What to call it in messages: the file, or the index of a sharded set. */
  readonly name: string;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** `__metadata__`; of a sharded set, that of its first shard. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Raw little-endian bytes of one tensor. @throws HeirloomError `TENSOR_MISSING` */
  read(name: string): Promise<Uint8Array>;
  /** Bytes `start` to `end` (exclusive) of one tensor, counted from its first. @throws HeirloomError `TENSOR_MISSING` */
  readRange(name: string, start: number, end: number): Promise<Uint8Array>;
}

/** Beyond this many names the search for the nearest one would take longer than a person waits. */
const MAX_NAMES_SEARCHED = 5_000;

/** The entry of `name`. @throws HeirloomError `TENSOR_MISSING` with the nearest name there is */
export function requireTensor(file: TensorFile, name: string): StoredTensor {
  const tensor = file.tensors.get(name);
  if (tensor !== undefined) return tensor;
  const nearest = file.tensors.size <= MAX_NAMES_SEARCHED ? nearestName(name, file.tensors.keys()) : undefined;
  throw new HeirloomError("TENSOR_MISSING", `expected a tensor ${printable(name)}, found none of that name among ${file.tensors.size}`, {
    where: printable(file.name),
    ...(nearest === undefined ? {} : { hint: `the nearest name is ${printable(nearest)}` }),
    details: { tensor: name },
  });
}

/** A {@link TensorFile} over entries that are known already. */
export function tensorFile(
  name: string,
  tensors: ReadonlyMap<string, StoredTensor>,
  metadata: Readonly<Record<string, string>>,
): TensorFile {
  const file: TensorFile = {
    name,
    tensors,
    metadata,
    // async, so that a missing tensor rejects instead of throwing at the call
    async read(tensorName) {
      const tensor = requireTensor(file, tensorName);
      return tensor.source.read(tensor.start, tensor.end);
    },
    async readRange(tensorName, start, end) {
      const tensor = requireTensor(file, tensorName);
      if (start < 0 || end < start || tensor.start + end > tensor.end) {
        throw new HeirloomError("FILE_UNREADABLE", `bytes ${start} to ${end} were asked of a tensor of ${tensor.end - tensor.start}`, {
          where: printable(tensorName),
        });
      }
      return tensor.source.read(tensor.start + start, tensor.start + end);
    },
  };
  return file;
}

/**
 * Opens one safetensors file: header now, tensors on demand.
 *
 * @throws HeirloomError as `readSafetensorsHeader`
 * @example
 * const file = await openSafetensors(await openFile("adapter_model.safetensors"));
 * const bytes = await file.read("base_model.model.lm_head.weight");
 */
export async function openSafetensors(source: ByteSource): Promise<TensorFile> {
  const { tensors, metadata } = await readStoredTensors(source);
  return tensorFile(source.name, tensors, metadata);
}
