import { stat } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import { HeirloomError, nearestName } from "../core/index.ts";
import { fileError, openFolder } from "../core/node/index.ts";
import { printable, readJson, type TensorFile } from "../formats/index.ts";
import { checkpointStep, listCheckpoints, newestRun, RUN_FILES } from "../runs/index.ts";
import { isHubAddress, parseHubAddress } from "./hub-address.ts";
import { type HubOptions, hubOptionsFrom, openHubFolder } from "./hub-folder.ts";
import { closingOnFailure, fileIn, type OpenFolder } from "./open-folder.ts";
import { OpenedPath } from "./opened-path.ts";
import { refuseShardedState } from "./sharded-state.ts";
import { openWeightsFile, weightsFile } from "./weights.ts";

/** How a path is opened. */
export interface OpenPathOptions {
  /** As a base model that the user chose: its config.json counts, whatever else lies beside it, and may have any name; links are followed. @defaultValue false */
  readonly asBase?: boolean;
  /** How the hub is reached. @defaultValue by `HF_ENDPOINT` and `HF_TOKEN` */
  readonly hub?: HubOptions;
}

const ADAPTER_CONFIG = "adapter_config.json";
const MODEL_CONFIG = "config.json";
/** What a trainer leaves beside the weights, and what is read of it by itself. */
const TRAINER_FILE = /^(?:trainer_state\.json|optimizer\.pt|scheduler\.pt|rng_state(?:_\d+)?\.pth|training_args\.bin)$/;
const GGUF_FILE = /\.gguf$/i;
const WEIGHTS_FILE = /\.(?:safetensors|bin|pt|pth|ckpt|index\.json)$/;
/** Weights in a form that is not read. */
const FOREIGN_FILE: Readonly<Record<string, string>> = {
  ".npz": "NumPy arrays, the form of mlx-lm's older adapters",
  ".onnx": "an ONNX graph",
  ".h5": "Keras' weights",
  ".msgpack": "Flax' weights",
};
/** Beyond this many names the search for the nearest one would take longer than a person waits. */
const MAX_NAMES_SEARCHED = 5_000;
const ADAPTER_KEY = /^base_model\.|\.lora_/;

/** An open folder whose files tell what is in it; null if they do not. A trainer's state counts by itself, without weights beside it. */
async function classify(folder: OpenFolder, asBase = false): Promise<OpenedPath | null> {
  const files = new Set(await folder.list());
  const isCheckpoint = files.has("trainer_state.json");
  if (files.has(ADAPTER_CONFIG) && !(asBase && files.has(MODEL_CONFIG)))
    return new OpenedPath({ kind: isCheckpoint ? "checkpoint" : "adapter", holds: "adapter", folder, files, configFile: ADAPTER_CONFIG });
  if (files.has(MODEL_CONFIG))
    return new OpenedPath({ kind: isCheckpoint ? "checkpoint" : "model", holds: "model", folder, files, configFile: MODEL_CONFIG });
  if (asBase || ![...files].some((file) => TRAINER_FILE.test(file))) return null;
  refuseShardedState(files, folder.name);
  return new OpenedPath({ kind: "checkpoint", holds: "trainer", folder, files, configFile: null, named: null });
}

/** The final adapter or model of a run, else what its gates rejected, else the last of its checkpoints. */
async function openRun(run: string, files: ReadonlySet<string>): Promise<OpenedPath> {
  const finals = [RUN_FILES.adapter, RUN_FILES.model, RUN_FILES.rejected].filter((name) => files.has(name)).map((name) => join(run, name));
  const checkpoints = (await listCheckpoints(run)).map(({ path }) => path).reverse();
  for (const path of [...finals, ...checkpoints]) {
    const folder = await openFolder(path);
    const found = await classify(folder);
    if (found !== null) {
      const { holds, files: inside, configFile } = found;
      return new OpenedPath({ kind: "run", holds, folder, files: inside, configFile });
    }
    await folder.close();
  }
  throw new HeirloomError("FILE_MISSING", "expected an adapter, a model or a checkpoint in the run, found none", {
    where: run,
    hint: checkpoints.length > 0 ? `resume it: heirloom resume ${run}` : `start it again: heirloom train --from ${run}`,
  });
}

/** What a JSON file is by its keys; null if it is nothing that is looked at by itself. */
function jsonKind(json: unknown): "adapter" | "model" | null {
  if (typeof json !== "object" || json === null) return null;
  const has = (key: string): boolean => Object.hasOwn(json, key);
  if (has("peft_type") || has("fine_tune_type") || has("lora_parameters") || (has("r") && has("lora_alpha"))) return "adapter";
  return has("model_type") || has("architectures") ? "model" : null;
}

function refuseFile(where: string, found: string): HeirloomError {
  return new HeirloomError("FILE_UNREADABLE", `expected weights, a configuration or a trainer's state, found ${found}`, {
    where,
    hint: "name the folder of an adapter, a checkpoint, a run or a model, or a .safetensors file",
  });
}

/** Weights by themselves: what they are, their names tell. */
function openedWeights(folder: OpenFolder, file: string, named: TensorFile): OpenedPath {
  const holds = [...named.tensors.keys()].some((name) => ADAPTER_KEY.test(name)) ? "adapter" : "model";
  return new OpenedPath({ kind: "file", holds, folder, files: new Set([file]), configFile: null, named });
}

/** One file: as the folder that it is the weights of, else by itself. */
async function openNamedFile(folder: OpenFolder, file: string, asBase = false): Promise<OpenedPath> {
  const alone = (holds: OpenedPath["holds"], configFile: string | null): OpenedPath =>
    new OpenedPath({ kind: "file", holds, folder, files: new Set([file]), configFile, named: null });
  if (TRAINER_FILE.test(file)) return alone("trainer", null);
  if (WEIGHTS_FILE.test(file)) {
    const whole = await classify(folder, asBase);
    const stem = whole?.holds === "adapter" ? "adapter_model" : "model";
    if (whole !== null && weightsFile(whole.files, stem) === file) return whole;
    return openedWeights(folder, file, await openWeightsFile(folder, file));
  }
  if (GGUF_FILE.test(file)) {
    const gguf = await (await import("./gguf-file.ts")).openGgufFile(folder, file);
    return new OpenedPath({ kind: "file", holds: "model", folder, files: new Set([file]), configFile: file, named: null, gguf });
  }
  const where = fileIn(folder.name, file);
  if (!file.endsWith(".json"))
    throw refuseFile(where, FOREIGN_FILE[extname(file)] ?? `a file named ${JSON.stringify(printable(file, 80))}`);
  if (asBase) return alone("model", file);
  if (file === ADAPTER_CONFIG) return alone("adapter", file);
  const kind = jsonKind(await readJson(await folder.open(file)));
  if (kind === null) throw refuseFile(where, "JSON that is none of these");
  return alone(kind, file);
}

/** What a folder that is none of ours holds, in words. */
function contentText(files: readonly string[]): string {
  if (files.length === 0) return "an empty folder";
  const shown = files.slice(0, 4).map((file) => printable(file, 60));
  return files.length > shown.length ? `${shown.join(", ")} and ${files.length - shown.length} others` : shown.join(", ");
}

/** What to do with such a folder: the name that was meant, a folder or a file in it that can be looked at. */
function folderHint(files: readonly string[], where: string): string {
  const near = nearestName(ADAPTER_CONFIG, files.length > MAX_NAMES_SEARCHED ? [] : files);
  if (near !== undefined) return `did you rename ${printable(near, 80)}?`;
  const [checkpoint] = files
    .filter((file) => checkpointStep(file) !== null)
    .sort((a, b) => Number(checkpointStep(b)) - Number(checkpointStep(a)));
  const readable = checkpoint ?? files.find((file) => WEIGHTS_FILE.test(file)) ?? files.find((file) => file.endsWith(".json"));
  if (readable === undefined) return "name the folder of an adapter, a checkpoint, a run or a model";
  return `one of them can be looked at by itself: heirloom inspect ${fileIn(where, printable(readable, 80))}`;
}

/** A folder without any configuration: its weights by themselves, if they have their usual name and no configuration was renamed. */
async function openBareFolder(folder: OpenFolder, files: ReadonlySet<string>): Promise<OpenedPath> {
  const weights = weightsFile(files, "adapter_model") ?? weightsFile(files, "model");
  const isRenamed = files.size <= MAX_NAMES_SEARCHED && nearestName(ADAPTER_CONFIG, files) !== undefined;
  if (weights === null || isRenamed) throw refuseFolder(files, folder.name);
  refuseShardedState(files, folder.name);
  return openedWeights(folder, weights, await openWeightsFile(folder, weights));
}

function refuseFolder(names: ReadonlySet<string>, where: string): HeirloomError {
  refuseShardedState(names, where);
  const files = [...names].sort();
  return new HeirloomError(
    "FILE_MISSING",
    `expected adapter_config.json, config.json or run.json in the folder, found ${contentText(files)}`,
    {
      where,
      hint: folderHint(files, where),
    },
  );
}

function folderOfRuns(where: string, newest: string): HeirloomError {
  return new HeirloomError("FILE_MISSING", "expected a run, an adapter, a checkpoint or a model, found a folder of runs", {
    where,
    hint: `name one of them; the newest is ${newest}`,
  });
}

async function openHubPath(path: string, options: OpenPathOptions): Promise<OpenedPath> {
  const hub = options.hub ?? (await hubOptionsFrom(process.env));
  const address = parseHubAddress(path);
  const last = address.path.slice(address.path.lastIndexOf("/") + 1);
  if (WEIGHTS_FILE.test(last) || GGUF_FILE.test(last) || TRAINER_FILE.test(last) || last.endsWith(".json")) {
    const parent = { ...address, path: address.path.slice(0, Math.max(0, address.path.length - last.length - 1)) };
    return openNamedFile(await openHubFolder(parent, hub), last, options.asBase);
  }
  const folder = await openHubFolder(address, hub);
  return (await classify(folder, options.asBase)) ?? openBareFolder(folder, new Set(await folder.list()));
}

/**
 * Opens a path and says what it holds: a folder with an adapter, a checkpoint, a
 * run or a model, one file of such, or either on the hub (`hf://owner/name[@revision][/path]`).
 *
 * @throws FILE_MISSING, FILE_UNREADABLE, WEIGHTS_SHARDED, NETWORK, USAGE for a malformed address, and what opening weights throws
 */
export async function openPath(path: string, options: OpenPathOptions = {}): Promise<OpenedPath> {
  if (isHubAddress(path)) return openHubPath(path, options);
  const info = await stat(path).catch((error: unknown) => {
    throw fileError(error, path);
  });
  if (!info.isDirectory()) {
    const folder = await openFolder(dirname(path), { followLinks: options.asBase === true });
    return closingOnFailure(folder, () => openNamedFile(folder, basename(path), options.asBase));
  }
  const folder = await openFolder(path, { followLinks: options.asBase === true });
  return closingOnFailure(folder, async () => {
    const files = new Set(await folder.list());
    if (files.has(RUN_FILES.record)) {
      const run = await openRun(path, files);
      await folder.close();
      return run;
    }
    const found = await classify(folder, options.asBase);
    if (found !== null) return found;
    const newest = await newestRun(path);
    if (newest !== null) throw folderOfRuns(path, newest);
    return openBareFolder(folder, files);
  });
}

/** Paths that are opened together and closed together. */
export class OpenPaths {
  readonly #opened: OpenedPath[] = [];

  /** As {@link openPath}. */
  async open(path: string, options?: OpenPathOptions): Promise<OpenedPath> {
    const opened = await openPath(path, options);
    this.#opened.push(opened);
    return opened;
  }

  async close(): Promise<void> {
    await Promise.all(this.#opened.splice(0).map((opened) => opened.close()));
  }
}
