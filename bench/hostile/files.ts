// What hostile files are made of: a base that is known, an adapter on it, and bytes that lie.
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { mkdir, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { finished } from "node:stream/promises";
import { safetensorsBytes } from "../../src/formats/fixtures/bytes.ts";

/** A small Llama's configuration. */
export const BASE: Readonly<Record<string, unknown>> = {
  architectures: ["LlamaForCausalLM"],
  model_type: "llama",
  hidden_size: 16,
  intermediate_size: 32,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  num_key_value_heads: 2,
  vocab_size: 32,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-6,
  tie_word_embeddings: false,
};

/** A LoRA configuration for it. */
export const CONFIG: Readonly<Record<string, unknown>> = {
  peft_type: "LORA",
  r: 2,
  lora_alpha: 4,
  lora_dropout: 0,
  target_modules: ["q_proj", "v_proj"],
  base_model_name_or_path: "base",
  task_type: "CAUSAL_LM",
};

const module = (layer: number, name: string): string => `base_model.model.model.layers.${layer}.self_attn.${name}`;
const SHAPES = [0, 1].flatMap((layer) =>
  ["q_proj", "v_proj"].flatMap((name) => [
    [`${module(layer, name)}.lora_A.weight`, [2, 16]] as const,
    [`${module(layer, name)}.lora_B.weight`, [16, 2]] as const,
  ]),
);

/** The adapter's weights. */
export function adapterWeights(): Uint8Array {
  const header: Record<string, unknown> = {};
  for (const [i, [name, shape]] of SHAPES.entries()) header[name] = { dtype: "F32", shape, data_offsets: [128 * i, 128 * i + 128] };
  return safetensorsBytes(
    header,
    Uint8Array.from({ length: 128 * SHAPES.length }, (_, i) => (i % 4 === 3 ? 0x3d : i % 251)),
  );
}

/** Text and bytes as they are, other values as JSON. */
export type Content = unknown;

/** Writes a folder; names may lead into folders inside. */
export async function writeFiles(folder: string, files: Readonly<Record<string, Content>>): Promise<string> {
  await mkdir(folder, { recursive: true });
  for (const [name, content] of Object.entries(files))
    await writeFile(join(folder, name), typeof content === "string" || content instanceof Uint8Array ? content : JSON.stringify(content));
  return folder;
}

/** An adapter's folder with some files replaced or added. */
export function adapterFolder(folder: string, files: Readonly<Record<string, Content>> = {}): Promise<string> {
  return writeFiles(folder, { "adapter_config.json": CONFIG, "adapter_model.safetensors": adapterWeights(), ...files });
}

/** Writes pieces one after the other; for files that no string should hold. */
export async function writePieces(path: string, pieces: Iterable<string | Uint8Array>): Promise<void> {
  const stream = createWriteStream(path);
  for (const piece of pieces) if (!stream.write(piece)) await once(stream, "drain");
  stream.end();
  await finished(stream);
}

/** A file of which only the beginning is there; the rest is a hole. */
export async function writeSparse(path: string, head: string | Uint8Array, size: number): Promise<void> {
  await writeFile(path, head);
  await truncate(path, size);
}

/** `piece` so many times, in blocks. */
export function* repeated(piece: string, times: number): Generator<string> {
  const block = piece.repeat(1000);
  for (let left = times; left > 0; left -= 1000) yield left >= 1000 ? block : piece.repeat(left);
}

/** The beginning of a safetensors file whose header has this length. */
export function headerLength(bytes: number): Uint8Array {
  return safetensorsBytes("", undefined, BigInt(bytes));
}
