import { join } from "node:path";
import { writeFileAtomic, writeTextAtomic } from "../core/node/index.ts";
import { encodeSafetensors, type TensorToWrite, tensorBytes } from "../formats/index.ts";

/** Largest file of a sharded model, as transformers' `save_pretrained` splits by default ("5GB"). */
const MAX_SHARD_BYTES = 5e9;

/** Tensors in the order given, cut into files of at most `limit` bytes of tensors; one that is larger by itself gets its own. */
function cutIntoShards(tensors: readonly TensorToWrite[], limit: number): TensorToWrite[][] {
  const shards: TensorToWrite[][] = [];
  let room = 0;
  for (const tensor of tensors) {
    const bytes = tensorBytes(tensor.dtype, tensor.shape) ?? 0;
    if (bytes > room || shards.length === 0) {
      shards.push([]);
      room = limit;
    }
    shards.at(-1)?.push(tensor);
    room -= bytes;
  }
  return shards;
}

/**
 * Writes a model's weights under the names that transformers looks for: `model.safetensors`, or shards with an index.
 * One chunk is held at a time.
 *
 * @returns bytes of tensors, and the files' names
 */
export async function writeModelShards(
  folder: string,
  tensors: readonly TensorToWrite[],
  limit = MAX_SHARD_BYTES,
): Promise<{ readonly bytes: number; readonly files: readonly string[] }> {
  const shards = cutIntoShards(tensors, limit);
  const number = (n: number): string => `${n}`.padStart(5, "0");
  const nameOf = (i: number): string =>
    shards.length === 1 ? "model.safetensors" : `model-${number(i + 1)}-of-${number(shards.length)}.safetensors`;
  const weightMap: Record<string, string> = {};
  let bytes = 0;
  for (const [i, shard] of shards.entries()) {
    await writeFileAtomic(join(folder, nameOf(i)), encodeSafetensors(shard, { format: "pt" }));
    for (const { name, dtype, shape } of shard) {
      weightMap[name] = nameOf(i);
      bytes += tensorBytes(dtype, shape) ?? 0;
    }
  }
  if (shards.length > 1) {
    const sorted = Object.fromEntries(Object.entries(weightMap).sort(([a], [b]) => (a < b ? -1 : 1)));
    const index = { metadata: { total_size: bytes }, weight_map: sorted };
    await writeTextAtomic(join(folder, "model.safetensors.index.json"), `${JSON.stringify(index, null, 2)}\n`);
  }
  return { bytes, files: shards.map((_, i) => nameOf(i)) };
}
