import { type ByteSource, type Folder, HeirloomError, isHeirloomError } from "../core/index.ts";
import { openSafetensors, openShards, openTorchShards, openTorchTensors, type TensorFile } from "../formats/index.ts";
import { fileIn } from "./open-folder.ts";

/** First part of the names of an adapter's or a model's weights. */
export type WeightsStem = "adapter_model" | "model";

/** The forms that weights are found in, best first; PyTorch's own names a model otherwise. */
function formsOf(stem: WeightsStem): readonly string[] {
  const pickle = stem === "model" ? "pytorch_model.bin" : "adapter_model.bin";
  return [`${stem}.safetensors`, `${stem}.safetensors.index.json`, pickle, `${pickle}.index.json`];
}

/** The file among `files` that weights are opened by; null if there is none. */
export function weightsFile(files: ReadonlySet<string>, stem: WeightsStem): string | null {
  return formsOf(stem).find((name) => files.has(name)) ?? null;
}

/** A shard that its index names. */
async function openShard(folder: Folder, name: string): Promise<ByteSource> {
  try {
    return await folder.open(name);
  } catch (error) {
    if (!isHeirloomError(error) || error.code !== "FILE_MISSING") throw error;
    throw new HeirloomError("FILE_MISSING", "the index names this shard, and it is not there", {
      where: fileIn(folder.name, name),
      hint: "download all the shards that the index names, from one revision",
    });
  }
}

/** Opens weights by the name of their file or index: safetensors, or a torch state dict. */
export async function openWeightsFile(folder: Folder, file: string): Promise<TensorFile> {
  const source = await folder.open(file);
  const isTorch = /\.(?:bin|pt|pth|ckpt)(?:\.index\.json)?$/.test(file);
  if (!file.endsWith(".index.json")) return isTorch ? openTorchTensors(source) : openSafetensors(source);
  return (isTorch ? openTorchShards : openShards)(source, (name) => openShard(folder, name));
}

/** Opens the weights of a folder: `<stem>.safetensors`, its shards, or the legacy `.bin`. @throws FILE_MISSING */
export async function openWeights(folder: Folder, files: ReadonlySet<string>, stem: WeightsStem): Promise<TensorFile> {
  const file = weightsFile(files, stem);
  if (file !== null) return openWeightsFile(folder, file);
  const config = stem === "adapter_model" ? "adapter_config.json" : "config.json";
  throw new HeirloomError("FILE_MISSING", `expected ${stem}.safetensors or its shards, found ${config} without weights`, {
    where: folder.name,
    hint: `check that the download is complete; the configuration by itself: heirloom inspect ${fileIn(folder.name, config)}`,
  });
}
