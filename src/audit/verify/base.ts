import { type ErrorCode, type Folder, HeirloomError, isHeirloomError } from "../../core/index.ts";
import { type OpenedPath, type OpenPaths, weightsFile } from "../../folders/index.ts";
import { describeValue, type TensorFile } from "../../formats/index.ts";
import { type ModelSpec, modelModules, parseModelConfig } from "../../model/index.ts";
import { modelLedger } from "../model-ledger.ts";
import { isHead } from "./keys.ts";
import type { BaseFacts, BaseModule } from "./types.ts";

/** A base model: facts, and its weights where they lie beside its configuration. */
export interface OpenedBase {
  readonly folder: Folder;
  readonly facts: BaseFacts;
  readonly weights: TensorFile | null;
  readonly modules: readonly BaseModule[] | null;
}

const TOLERATED: ReadonlySet<ErrorCode> = new Set(["ARCHITECTURE_UNSUPPORTED", "QUANTIZATION_UNSUPPORTED", "MODEL_CONFIG_INVALID"]);

type Json = Readonly<Record<string, unknown>>;

const objectOf = (value: unknown): Json | null =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : null;

function specOf(json: unknown, where: string): ModelSpec | null {
  try {
    return parseModelConfig(json, where);
  } catch (error) {
    // Whatever the engine cannot run can still be judged by its names and shapes.
    if (isHeirloomError(error) && TOLERATED.has(error.code)) return null;
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

const NO_MODEL_HINT = "give --base the folder of the base model, or its config.json";

/** A base that is no model would be held against nothing, and nothing would be found. */
function requireModel(opened: OpenedPath, { json }: BaseFacts, file: string): void {
  if (json["model_type"] !== undefined || json["architectures"] !== undefined) return;
  const found = json["peft_type"] === undefined ? "JSON with neither model_type nor architectures" : "an adapter's configuration";
  throw new HeirloomError("MODEL_CONFIG_INVALID", `expected a model's configuration, found ${found}`, {
    where: opened.where(file),
    hint: NO_MODEL_HINT,
  });
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
export async function openBase(path: string, paths: OpenPaths): Promise<OpenedBase> {
  const opened = await paths.open(path, { asBase: true });
  if (opened.holds !== "model") {
    const found = opened.holds === "adapter" ? "an adapter" : "a trainer's state";
    throw new HeirloomError("MODEL_CONFIG_INVALID", `expected a base model, found ${found}`, { where: path, hint: NO_MODEL_HINT });
  }
  const weights = opened.kind !== "file" && weightsFile(opened.files, "model") !== null ? await opened.requireWeights() : null;
  const facts = await modelFacts(opened, weights);
  requireModel(opened, facts, opened.configFile ?? "config.json");
  return { folder: opened.folder, facts, weights, modules: modulesOf(facts.spec, weights) };
}

/** Facts of an opened model: of a base, or of one that is itself the subject. */
export async function modelFacts(opened: OpenedPath, weights: TensorFile | null): Promise<BaseFacts> {
  const file = opened.configFile ?? "config.json";
  return factsOf(await opened.json(file), opened.where(file), opened.path, weights);
}
