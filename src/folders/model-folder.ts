import { stat } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { type AdapterSpec, adapterForEngine } from "../adapter/index.ts";
import { HeirloomError } from "../core/index.ts";
import { openFolder } from "../core/node/index.ts";
import { parsePeftConfig, readJson, type TensorFile } from "../formats/index.ts";
import { type ModelSpec, parseModelConfig } from "../model/index.ts";
import { type AdapterRecord, checkpointStep, RUN_FILES, readAdapterRecord, readRunRecord, readRunResult } from "../runs/index.ts";
import { isHubAddress, parseHubAddress } from "./hub-address.ts";
import { closingOnFailure, fileIn, type OpenFolder } from "./open-folder.ts";
import { openPath } from "./open-path.ts";
import type { OpenedPath } from "./opened-path.ts";
import { openWeights } from "./weights.ts";

const MODEL_CONFIG = "config.json";
const ADAPTER_CONFIG = "adapter_config.json";

/** An opened model folder; its tensors are read on demand. */
export interface ModelFolder {
  readonly folder: OpenFolder;
  readonly spec: ModelSpec;
  readonly tensors: TensorFile;
}

/** An opened adapter folder. */
export interface AdapterFolder {
  readonly folder: OpenFolder;
  readonly spec: AdapterSpec;
  readonly tensors: TensorFile;
  /** What the adapter says of its own training; null for an adapter made elsewhere. */
  readonly record: AdapterRecord | null;
}

/**
 * Opens a model on disk to compute with: config.json and its weights, single or sharded. Links are followed, as the user laid them.
 * @throws FILE_MISSING, FILE_UNREADABLE, JSON_INVALID, LFS_POINTER, MODEL_CONFIG_INVALID, ARCHITECTURE_UNSUPPORTED, SAFETENSORS_INVALID,
 * SAFETENSORS_TRUNCATED, SHARD_INDEX_INVALID, TORCH_FILE_INVALID, PICKLE_INVALID, PICKLE_UNSAFE
 */
export async function openModelFolder(path: string): Promise<ModelFolder> {
  refuseAddress(path);
  refuseGguf(path);
  await refuseHubName(path);
  const folder = await openFolder(path, { followLinks: true });
  return closingOnFailure(folder, async () => {
    const files = new Set(await folder.list());
    if (!files.has(MODEL_CONFIG)) throw noModel(files, path);
    const spec = parseModelConfig(await readJson(await folder.open(MODEL_CONFIG)), fileIn(path, MODEL_CONFIG));
    return { folder, spec, tensors: await openWeights(folder, files, "model") };
  });
}

/** A GGUF file can be looked at as it is; to compute with, it is a folder first. @throws FILE_MISSING */
export function refuseGguf(path: string): void {
  if (!/\.gguf$/i.test(path)) return;
  throw new HeirloomError("FILE_MISSING", "expected a model folder to compute with, found a GGUF file", {
    where: path,
    hint: `make a folder of it first: heirloom import ${path} -o ${path.replace(/\.gguf$/i, "")}`,
  });
}

/** Headers are read over the network, weights to compute with are not. */
function refuseAddress(path: string): void {
  if (!isHubAddress(path)) return;
  const { repository, revision } = parseHubAddress(path);
  throw new HeirloomError("FILE_MISSING", "expected a folder on disk to compute with, found an address on the hub", {
    where: path,
    hint: `download it first: hf download ${repository}${revision === "main" ? "" : ` --revision ${revision}`} --local-dir FOLDER`,
  });
}

/**
 * `owner/name` as a hub has it, typed where a folder is meant. By now the path is absolute; a hub's name shows in
 * that not even the folder above is there.
 */
async function refuseHubName(path: string): Promise<void> {
  const parts = path.split(/[\\/]/).slice(-2);
  if (parts.length < 2 || !parts.every((part) => /^[\w.-]+$/.test(part))) return;
  const missing = async (folder: string): Promise<boolean> =>
    stat(folder).then(
      () => false,
      (error: unknown) => error instanceof Error && "code" in error && error.code === "ENOENT",
    );
  if (!(await missing(path)) || !(await missing(dirname(path)))) return;
  const name = parts.join("/");
  throw new HeirloomError("FILE_MISSING", "no such folder; a name on the hub is not enough to compute with", {
    where: path,
    hint: `if ${name} is meant, download it first: hf download ${name} --local-dir FOLDER; else check the path`,
  });
}

function noModel(files: ReadonlySet<string>, path: string): HeirloomError {
  const found = files.size === 0 ? "an empty folder" : [...files].slice(0, 8).join(", ");
  return new HeirloomError("FILE_MISSING", `expected a model folder with ${MODEL_CONFIG}, found ${found}`, {
    where: path,
    hint: files.has(ADAPTER_CONFIG)
      ? "this is an adapter; name its base model instead"
      : "name the folder that holds config.json, tokenizer.json and model.safetensors",
  });
}

/**
 * Opens an adapter on disk to go on with: PEFT's two files, and our record if there is one.
 * @throws as {@link openModelFolder}, with PEFT_CONFIG_INVALID, ADAPTER_UNSUPPORTED and RECORD_INVALID for the configurations
 */
export async function openAdapterFolder(path: string): Promise<AdapterFolder> {
  refuseAddress(path);
  const folder = await openFolder(path);
  return closingOnFailure(folder, async () => {
    const config = parsePeftConfig(await readJson(await folder.open(ADAPTER_CONFIG)), fileIn(path, ADAPTER_CONFIG));
    const spec = adapterForEngine(config);
    const tensors = await openWeights(folder, new Set(await folder.list()), "adapter_model");
    return { folder, spec, tensors, record: await readAdapterRecord(folder) };
  });
}

/**
 * Finds the adapter or model that a folder is or holds: a run gives its final adapter, or its model.
 * @throws FILE_MISSING also for a run that has not come to its end; GATE_FAILED for one whose weights were rejected; RECORD_INVALID
 */
export async function locateModel(path: string): Promise<{ readonly kind: "adapter" | "model"; readonly path: string }> {
  refuseGguf(path);
  const opened = await openPath(path);
  await opened.close();
  const { kind, holds } = opened;
  if (kind === "run") await requireFinal(path, opened);
  if (kind === "file" || holds === "trainer") {
    throw new HeirloomError(
      "FILE_MISSING",
      `expected an adapter, model or run folder, found ${kind === "file" ? "a file" : "a trainer's state alone"}`,
      {
        where: path,
        hint: kind === "file" ? "name the folder that it lies in" : "put the weights and their configuration beside it",
      },
    );
  }
  return { kind: holds, path: opened.path };
}

/** Weights that a gate did not let through are used only by their own name. */
async function refuseRejected(run: string, rejected: string): Promise<never> {
  const measures = (await readRunResult(run))?.measures;
  const failed = (measures?.gates ?? [])
    .filter(({ ok }) => !ok)
    .map(({ dataset, metric, condition }) => `${dataset}: ${metric} ${condition}`);
  const current = measures?.current ?? null;
  throw new HeirloomError(
    "GATE_FAILED",
    `the run's gates did not let its weights through (${failed.join("; ") || "see its result.json"})`,
    {
      where: run,
      hint: `${current === null ? "there is no adapter of before" : `the adapter of before is current: ${current}`}; to use the rejected weights all the same, name them: ${rejected}`,
      details: { rejected, current },
    },
  );
}

async function requireFinal(run: string, opened: OpenedPath): Promise<void> {
  await readRunRecord(run);
  if (basename(opened.path) === RUN_FILES.rejected) await refuseRejected(run, opened.path);
  if (checkpointStep(opened.path) === null) return;
  throw new HeirloomError("FILE_MISSING", "the run has no final adapter or model yet", {
    where: run,
    hint: `bring it to its end: heirloom resume ${run}; or name its last checkpoint to go on from that: ${opened.path}`,
  });
}
