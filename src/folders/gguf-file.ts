import { dequantizeGguf, isReadableGgmlType } from "../codecs/index.ts";
import { type GgufHeader, readGgufHeader } from "../formats/index.ts";
import { type GgufModel, modelFromGguf, ROPE_FACTORS } from "../model/index.ts";
import type { OpenFolder } from "./open-folder.ts";

/** A GGUF file by its header. */
export interface GgufFile {
  readonly header: GgufHeader;
  /** Size of the file. */
  readonly bytes: number;
  /** The model that it describes. @throws ARCHITECTURE_UNSUPPORTED, GGUF_UNSUPPORTED, GGUF_INVALID, TENSOR_MISSING, TENSOR_SHAPE */
  model(): GgufModel;
}

/** Reads the header, and of the data only the factors of the rotation (some hundred bytes), which the configuration follows from. */
export async function openGgufFile(folder: OpenFolder, file: string): Promise<GgufFile> {
  const source = await folder.open(file);
  const header = await readGgufHeader(source);
  const stored = header.tensors.get(ROPE_FACTORS);
  const factors =
    stored === undefined || !isReadableGgmlType(stored.type)
      ? null
      : dequantizeGguf(stored.type, await source.read(stored.start, stored.end));
  return { header, bytes: source.size, model: () => modelFromGguf(header, factors, source.name) };
}

/** What config.json will say once the file is imported as `heirloom import` does it by itself. */
export function importedConfig(gguf: GgufFile): unknown {
  return { ...gguf.model().spec.raw, torch_dtype: "bfloat16" };
}
