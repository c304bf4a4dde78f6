import { stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { HeirloomError, isHeirloomError } from "../../core/index.ts";
import { describeValue, type TensorFile } from "../../formats/index.ts";
import { type ModelSpec, modelModules, parseModelConfig } from "../../model/index.ts";
import { modelLedger } from "../model-ledger.ts";
import { findPath, type OpenFiles, openWeights } from "../open-path.ts";
import { isHead } from "./keys.ts";
import type { BaseFacts, BaseModule } from "./types.ts";

/** A base model: facts, and its weights where they lie beside its configuration. */
export interface OpenedBase {
  readonly facts: BaseFacts;
  readonly weights: TensorFile | null;
  readonly modules: readonly BaseModule[] | null;
}

type Json = Readonly<Record<string, unknown>>;

const objectOf = (value: unknown): Json | null =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : null;

function specOf(json: unknown, where: string): ModelSpec | null {
  try {
    return parseModelConfig(json, where);
  } catch (error) {
    // Whatever the engine cannot run can still be judged by its names and shapes.
    if (isHeirloomError(error) && (error.code === "ARCHITECTURE_UNSUPPORTED" || error.code === "MODEL_CONFIG_INVALID")) return null;
    throw error;
  }
}

/** Vision models keep the language model's sizes one level deeper. */
function field(json: Json, key: string): unknown {
  return json[key] ?? objectOf(json["text_config"])?.[key];
}

function tiedOf(json: Json, spec: ModelSpec | null, weights: TensorFile | null): boolean | null {
  if (spec !== null) return spec.tieWordEmbeddings;
  const stated = field(json, "tie_word_embeddings");
  if (typeof stated === "boolean") return stated;
  if (weights === null) return null;
  return ![...weights.tensors.keys()].some((name) => isHead(name.slice(0, Math.max(0, name.lastIndexOf(".")))));
}

function quantizationOf(json: Json): string | null {
  const config = objectOf(json["quantization_config"]);
  if (config === null) return null;
  const method = config["quant_method"];
  return typeof method === "string" ? method : config["load_in_4bit"] === true ? "bitsandbytes" : "unnamed";
}

function factsOf(json: unknown, file: string, path: string, weights: TensorFile | null): BaseFacts {
  const object = objectOf(json);
  if (object === null) {
    throw new HeirloomError("MODEL_CONFIG_INVALID", `expected an object, found ${describeValue(json)}`, { where: file });
  }
  const spec = specOf(json, file);
  const vocab = spec?.vocabSize ?? field(object, "vocab_size");
  return {
    path,
    json: object,
    spec,
    vocabSize: typeof vocab === "number" ? vocab : null,
    tied: tiedOf(object, spec, weights),
    quantization: quantizationOf(object),
  };
}

/** Modules by configuration, else by the names in the weights. */
function modulesOf(spec: ModelSpec | null, weights: TensorFile | null): readonly BaseModule[] | null {
  if (spec !== null) return modelModules(spec).map(({ path, shape }) => ({ path, shape }));
  if (weights === null) return null;
  return modelLedger(weights, null).entries.flatMap(({ name, module, role, shape }) =>
    name.endsWith(".weight") ? [{ path: module, shape: role === "quantized_base" ? null : shape }] : [],
  );
}

/**
 * Opens a base model: a folder, or its config.json alone.
 *
 * @throws FILE_MISSING, FILE_UNREADABLE, JSON_INVALID, LFS_POINTER, MODEL_CONFIG_INVALID, SAFETENSORS_INVALID, SHARD_INDEX_INVALID
 */
export async function openBase(path: string, opened: OpenFiles): Promise<OpenedBase> {
  const isFile = await stat(path).then(
    (info) => !info.isDirectory(),
    () => false,
  );
  if (isFile) {
    const facts = factsOf(await opened.json(path), path, basename(path) === "config.json" ? dirname(path) : path, null);
    return { facts, weights: null, modules: modulesOf(facts.spec, null) };
  }
  const file = join(path, "config.json");
  const json = await opened.json(file);
  const { files } = await findPath(path);
  const weights = hasWeights(files) ? await openWeights(path, files, "model", opened) : null;
  const facts = factsOf(json, file, path, weights);
  return { facts, weights, modules: modulesOf(facts.spec, weights) };
}

function hasWeights(files: ReadonlySet<string>): boolean {
  return files.has("model.safetensors") || files.has("model.safetensors.index.json") || files.has("pytorch_model.bin");
}

/** Facts of a model that is itself the subject. */
export async function modelFacts(folder: string, weights: TensorFile, opened: OpenFiles): Promise<BaseFacts> {
  const file = join(folder, "config.json");
  return factsOf(await opened.json(file), file, folder, weights);
}
