import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { type ByteSource, HeirloomError } from "../core/index.ts";
import { type FileSource, fileError, openFile } from "../core/node/index.ts";
import { openSafetensors, openShards, openTorchTensors, readJson, type TensorFile } from "../formats/index.ts";
import { listCheckpoints, RUN_FILES } from "../runs/index.ts";

/** What a path turned out to be. A checkpoint has the state of a trainer beside its weights. */
export type PathKind = "adapter" | "model" | "checkpoint" | "run";

/** A folder whose files tell what is in it. */
export interface FoundPath {
  readonly kind: PathKind;
  /** What its weights are. */
  readonly holds: "adapter" | "model";
  /** Folder that the weights lie in: a run's adapter lies in a folder of it. */
  readonly folder: string;
  readonly files: ReadonlySet<string>;
}

async function filesIn(folder: string): Promise<Set<string>> {
  try {
    return new Set(await readdir(folder));
  } catch (error) {
    throw fileError(error, folder);
  }
}

/** The final adapter or model of a run, else the last of its checkpoints. */
async function contentOfRun(run: string, files: ReadonlySet<string>): Promise<FoundPath> {
  const finals = [RUN_FILES.adapter, RUN_FILES.model].filter((name) => files.has(name)).map((name) => join(run, name));
  const checkpoints = (await listCheckpoints(run)).map(({ path }) => path).reverse();
  for (const folder of [...finals, ...checkpoints]) {
    const inside = await filesIn(folder);
    if (inside.has("adapter_config.json")) return { kind: "run", holds: "adapter", folder, files: inside };
    if (inside.has("config.json")) return { kind: "run", holds: "model", folder, files: inside };
  }
  throw new HeirloomError("FILE_MISSING", "expected an adapter, a model or a checkpoint in the run, found none", {
    where: run,
    hint: `resume it: heirloom resume ${run}`,
  });
}

/**
 * Says what a folder holds. @throws FILE_MISSING, FILE_UNREADABLE
 */
export async function findPath(path: string): Promise<FoundPath> {
  const info = await stat(path).catch((error: unknown) => {
    throw fileError(error, path);
  });
  if (!info.isDirectory()) {
    throw new HeirloomError("FILE_UNREADABLE", "expected a folder with an adapter, a checkpoint, a run or a model, found a file", {
      where: path,
      hint: "name the folder that the file lies in",
    });
  }
  const files = await filesIn(path);
  if (files.has(RUN_FILES.record)) return contentOfRun(path, files);
  const isCheckpoint = files.has("trainer_state.json");
  if (files.has("adapter_config.json")) return { kind: isCheckpoint ? "checkpoint" : "adapter", holds: "adapter", folder: path, files };
  if (files.has("config.json")) return { kind: isCheckpoint ? "checkpoint" : "model", holds: "model", folder: path, files };
  throw new HeirloomError("FILE_MISSING", "expected adapter_config.json, config.json or run.json in the folder, found none of them", {
    where: path,
    hint: "name the folder of an adapter, a checkpoint, a run or a model",
  });
}

/** Files that are open for reading, to be closed together. */
export class OpenFiles {
  readonly #open: FileSource[] = [];

  async open(path: string): Promise<ByteSource> {
    const source = await openFile(path);
    this.#open.push(source);
    return source;
  }

  async json(path: string): Promise<unknown> {
    return readJson(await this.open(path));
  }

  async close(): Promise<void> {
    await Promise.all(this.#open.map((source) => source.close()));
  }
}

/** The weights of a folder: `<stem>.safetensors`, its shards, or the legacy `.bin`. @throws FILE_MISSING */
export async function openWeights(
  folder: string,
  files: ReadonlySet<string>,
  stem: "adapter_model" | "model",
  opened: OpenFiles,
): Promise<TensorFile> {
  const single = `${stem}.safetensors`;
  const index = `${stem}.safetensors.index.json`;
  if (files.has(single)) return openSafetensors(await opened.open(join(folder, single)));
  if (files.has(index)) return openShards(await opened.open(join(folder, index)), (name) => opened.open(join(folder, name)));
  const pickle = stem === "model" ? "pytorch_model.bin" : "adapter_model.bin";
  if (files.has(pickle)) return openTorchTensors(await opened.open(join(folder, pickle)));
  throw new HeirloomError("FILE_MISSING", `expected ${single} or ${index}, found neither`, {
    where: folder,
    hint: "check that the download is complete",
  });
}
