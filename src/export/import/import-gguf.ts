import { createHash } from "node:crypto";
import { basename, join } from "node:path";
import type { ByteSource } from "../../core/index.ts";
import { openFile, writeFileAtomic, writeFolderAtomic, writeTextAtomic } from "../../core/node/index.ts";
import { encodeSafetensors, type GgufHeader, pythonJson, readGgufHeader } from "../../formats/index.ts";
import { type GgufModel, modelFromGguf, parameterCount, ROPE_FACTORS } from "../../model/index.ts";
import { NEW_OUTPUT, refuseExisting, throwIfStopped } from "../output.ts";
import { type TokenizerFolder, tokenizerFolder } from "./tokenizer/tokenizer-files.ts";
import { ggufValues, type ImportDtype, requireReadable, tensorsToWrite, type WeightsProgress } from "./weights.ts";

/** How a file is imported. */
export interface ImportOptions {
  /** What the weights are written as. @defaultValue "bf16" */
  readonly dtype?: ImportDtype;
  /** When it aborts, INTERRUPTED is thrown and nothing is left behind. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: WeightsProgress) => void;
}

/** What an import made; the fields of `import --json`. */
export interface ImportResult {
  /** Folder that was written. */
  readonly output: string;
  readonly source: { readonly file: string; readonly bytes: number; readonly sha256: string };
  readonly architecture: string;
  readonly dtype: ImportDtype;
  readonly layers: number;
  readonly parameters: number;
  /** How many tensors of the file had which type. */
  readonly tensorTypes: Readonly<Record<string, number>>;
  /** Whether head and embedding are one tensor. */
  readonly tiedEmbeddings: boolean;
  readonly tokens: number;
  readonly hasChatTemplate: boolean;
  readonly files: readonly string[];
  /** Bytes of model.safetensors. */
  readonly weightBytes: number;
  readonly seconds: number;
}

/** Where the folder came from; a name that no loader of models looks for. */
const PROVENANCE_FILE = "imported-from.json";
/** Read at a time for the hash. */
const HASH_BYTES = 8_388_608;
const TORCH_DTYPE = { bf16: "bfloat16", fp16: "float16", fp32: "float32" } as const;

async function hashOf(source: ByteSource, stopIfAsked: () => void): Promise<string> {
  const hash = createHash("sha256");
  for (let start = 0; start < source.size; start += HASH_BYTES) {
    stopIfAsked();
    hash.update(await source.read(start, Math.min(source.size, start + HASH_BYTES)));
  }
  return hash.digest("hex");
}

/** The model that the file describes, with the one tensor that its configuration follows from. */
async function readModel(source: ByteSource, header: GgufHeader): Promise<GgufModel> {
  requireReadable(header.tensors.values(), source.name);
  const factors = header.tensors.get(ROPE_FACTORS);
  return modelFromGguf(header, factors === undefined ? null : await ggufValues(source, factors), source.name);
}

function countTypes(header: GgufHeader): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { type } of header.tensors.values()) counts[type] = (counts[type] ?? 0) + 1;
  return counts;
}

interface Content {
  readonly model: GgufModel;
  readonly tokenizer: TokenizerFolder;
  readonly dtype: ImportDtype;
  readonly provenance: object;
}

/** Every file but the weights, by name. */
function textFiles({ model, tokenizer, dtype, provenance }: Content): Record<string, string> {
  const json = (value: object): string => `${JSON.stringify(value, null, 2)}\n`;
  return {
    "config.json": `${pythonJson({ ...model.config, torch_dtype: TORCH_DTYPE[dtype] }, new Set())}\n`,
    "generation_config.json": json(tokenizer.generation),
    "tokenizer.json": json(tokenizer.tokenizer),
    "tokenizer_config.json": json(tokenizer.config),
    ...(tokenizer.chatTemplate === null ? {} : { "chat_template.jinja": tokenizer.chatTemplate }),
    [PROVENANCE_FILE]: json(provenance),
  };
}

/**
 * Makes a model folder of a GGUF file: config.json, model.safetensors, tokenizer
 * and chat template, generation_config.json, and imported-from.json, which says
 * what it was made of. All of it or nothing.
 *
 * @param path the file
 * @param output a folder that is not there yet
 * @throws OUTPUT_EXISTS; GGUF_INVALID, GGUF_TRUNCATED, GGUF_UNSUPPORTED, ARCHITECTURE_UNSUPPORTED, QUANTIZATION_UNSUPPORTED,
 * TENSOR_MISSING, TENSOR_SHAPE, TENSOR_NOT_FINITE, TOKENIZER_INVALID; INTERRUPTED; WRITE_FAILED, DISK_FULL
 * @example
 * await importGguf("SmolLM2-135M-Instruct.Q4_1.gguf", "models/smollm2");
 */
export async function importGguf(path: string, output: string, options: ImportOptions = {}): Promise<ImportResult> {
  const { dtype = "bf16", signal, onProgress = () => undefined } = options;
  const began = performance.now();
  const stopIfAsked = (): void => throwIfStopped(() => signal?.aborted === true);
  await refuseExisting(output);
  const source = await openFile(path);
  try {
    const header = await readGgufHeader(source);
    const model = await readModel(source, header);
    const { spec } = model;
    const tokenizer = tokenizerFolder(header.metadata, spec.maxPositions, source.name);
    const file = { file: basename(path), bytes: source.size, sha256: await hashOf(source, stopIfAsked) };
    const tensorTypes = countTypes(header);
    const provenance = { schemaVersion: 1, format: "gguf", ggufVersion: header.version, source: file, dtype, tensorTypes };
    const texts = textFiles({ model, tokenizer, dtype, provenance });
    let weightBytes = 0;
    await writeFolderAtomic(
      output,
      async (folder) => {
        const tensors = tensorsToWrite(source, model, dtype, stopIfAsked, onProgress);
        weightBytes = await writeWeights(join(folder, "model.safetensors"), encodeSafetensors(tensors, { format: "pt" }));
        for (const [name, text] of Object.entries(texts)) await writeTextAtomic(join(folder, name), text);
        stopIfAsked();
      },
      NEW_OUTPUT,
    );
    return {
      output,
      source: file,
      architecture: spec.architecture,
      dtype,
      layers: spec.layerCount,
      parameters: parameterCount(spec),
      tensorTypes,
      tiedEmbeddings: spec.tieWordEmbeddings,
      tokens: tokenizer.tokenCount,
      hasChatTemplate: tokenizer.chatTemplate !== null,
      files: [...Object.keys(texts), "model.safetensors"].sort(),
      weightBytes,
      seconds: (performance.now() - began) / 1000,
    };
  } finally {
    await source.close();
  }
}

/** Writes a stream of bytes and counts them. */
async function writeWeights(path: string, chunks: AsyncIterable<Uint8Array>): Promise<number> {
  let bytes = 0;
  async function* counted(): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const chunk of chunks) {
      bytes += chunk.byteLength;
      yield chunk;
    }
  }
  await writeFileAtomic(path, counted());
  return bytes;
}
