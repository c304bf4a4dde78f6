import { join } from "node:path";
import { type AdapterSpec, adapterFromPeft, type ResolvedAdapter } from "../adapter/index.ts";
import { HeirloomError, nearestName } from "../core/index.ts";
import { type DiskFolder, openFolder } from "../core/node/index.ts";
import { openSafetensors, openShards, parsePeftConfig, readJson, type TensorFile } from "../formats/index.ts";
import { type ModelSpec, parseModelConfig } from "../model/index.ts";
import { type AdapterRecord, RUN_FILES, readAdapterRecord, readRunRecord } from "../runs/index.ts";
import { type BaseOptions, type BaseWeights, loadBaseWeights } from "./base-weights.ts";
import type { LoraPlan } from "./block-stack.ts";

const MODEL_CONFIG = "config.json";
const ADAPTER_CONFIG = "adapter_config.json";
const WEIGHTS = "model.safetensors";
const WEIGHTS_INDEX = "model.safetensors.index.json";
const ADAPTER_WEIGHTS = "adapter_model.safetensors";

/** An opened model folder; its tensors are read on demand. */
export interface ModelFolder {
  readonly folder: DiskFolder;
  readonly spec: ModelSpec;
  readonly tensors: TensorFile;
}

/** An opened adapter folder. */
export interface AdapterFolder {
  readonly folder: DiskFolder;
  readonly spec: AdapterSpec;
  readonly tensors: TensorFile;
  /** What the adapter says of its own training; null for an adapter made elsewhere. */
  readonly record: AdapterRecord | null;
}

/** Closes the folder's files if reading it fails: nobody else could then. */
async function closingOnFailure<T>(folder: DiskFolder, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    await folder.close();
    throw error;
  }
}

/** Opens a model folder: config.json and model.safetensors, single or sharded. */
export async function openModelFolder(path: string): Promise<ModelFolder> {
  // The Hugging Face cache lays models as links into a store beside them.
  const folder = await openFolder(path, { followLinks: true });
  return closingOnFailure(folder, () => readModelFolder(folder, path));
}

async function readModelFolder(folder: DiskFolder, path: string): Promise<ModelFolder> {
  const names = await folder.list();
  if (!names.includes(MODEL_CONFIG)) {
    throw new HeirloomError(
      "FILE_MISSING",
      `expected a model folder with ${MODEL_CONFIG}, found ${names.length === 0 ? "an empty folder" : names.slice(0, 8).join(", ")}`,
      {
        where: path,
        hint: names.includes(ADAPTER_CONFIG)
          ? "this is an adapter; name its base model instead"
          : "name the folder that holds config.json, tokenizer.json and model.safetensors",
      },
    );
  }
  const spec = parseModelConfig(await readJson(await folder.open(MODEL_CONFIG)), join(path, MODEL_CONFIG));
  const tensors = names.includes(WEIGHTS_INDEX)
    ? await openShards(await folder.open(WEIGHTS_INDEX), (file) => folder.open(file))
    : await openSafetensors(await folder.open(WEIGHTS));
  return { folder, spec, tensors };
}

/** Opens an adapter folder: PEFT's two files, and our record if there is one. */
export async function openAdapterFolder(path: string): Promise<AdapterFolder> {
  const folder = await openFolder(path);
  return closingOnFailure(folder, async () => {
    const config = parsePeftConfig(await readJson(await folder.open(ADAPTER_CONFIG)), join(path, ADAPTER_CONFIG));
    const spec = adapterFromPeft(config);
    const tensors = await openSafetensors(await folder.open(ADAPTER_WEIGHTS));
    return { folder, spec, tensors, record: await readAdapterRecord(path) };
  });
}

/** What a path leads to. */
export type ModelPath = { readonly kind: "adapter"; readonly path: string } | { readonly kind: "model"; readonly path: string };

/** Finds the adapter or model that a folder is or holds: a run gives its final adapter, or its model. */
export async function locateModel(path: string): Promise<ModelPath> {
  const folder = await openFolder(path, { followLinks: true });
  const names = await folder.list();
  if (names.includes(ADAPTER_CONFIG)) return { kind: "adapter", path };
  if (names.includes(MODEL_CONFIG)) return { kind: "model", path };
  if (names.includes(RUN_FILES.record)) {
    await readRunRecord(path);
    for (const inner of [RUN_FILES.adapter, RUN_FILES.model]) if (names.includes(inner)) return locateModel(join(path, inner));
    throw new HeirloomError("FILE_MISSING", "the run has no final adapter or model yet", { where: path, hint: `heirloom resume ${path}` });
  }
  const near = nearestName("adapter_config.json", names);
  throw new HeirloomError(
    "FILE_MISSING",
    `expected an adapter, model or run folder, found none of ${ADAPTER_CONFIG}, ${MODEL_CONFIG}, ${RUN_FILES.record}`,
    {
      where: path,
      ...(near === undefined ? {} : { hint: `did you rename ${near}?` }),
    },
  );
}

/** LoRA of a resolved adapter, as the graphs need it. */
export function loraPlans(resolved: ResolvedAdapter): Map<string, LoraPlan> {
  return new Map(resolved.lora.map(({ module, rank, scaling }) => [module, { rank, scaling }]));
}

/** Reads a model folder's weights. */
export function loadModelFolder({ tensors, spec }: ModelFolder, options: BaseOptions): Promise<BaseWeights> {
  return loadBaseWeights(tensors, spec, options);
}
