import { type Folder, HeirloomError } from "../core/index.ts";
import { openSafetensors, openShards, openTorchShards, openTorchTensors, type TensorFile } from "../formats/index.ts";

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

/** Opens weights by the name of their file or index: safetensors, or a torch state dict. */
export async function openWeightsFile(folder: Folder, file: string): Promise<TensorFile> {
  const source = await folder.open(file);
  const isTorch = /\.(?:bin|pt|pth|ckpt)(?:\.index\.json)?$/.test(file);
  if (!file.endsWith(".index.json")) return isTorch ? openTorchTensors(source) : openSafetensors(source);
  return (isTorch ? openTorchShards : openShards)(source, (name) => folder.open(name));
}

/** Opens the weights of a folder: `<stem>.safetensors`, its shards, or the legacy `.bin`. @throws FILE_MISSING */
export async function openWeights(folder: Folder, files: ReadonlySet<string>, stem: WeightsStem): Promise<TensorFile> {
  const file = weightsFile(files, stem);
  if (file !== null) return openWeightsFile(folder, file);
  throw new HeirloomError("FILE_MISSING", `expected ${stem}.safetensors or its shards, found neither`, {
    where: folder.name,
    hint: "check that the download is complete",
  });
}
