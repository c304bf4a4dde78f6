import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { type ByteSource, HeirloomError } from "../core/index.ts";
import { type FileSource, fileError, openFile } from "../core/node/index.ts";
import { openSafetensors, openShards, readJson, type TensorFile } from "../formats/index.ts";

/** What a path turned out to be. A checkpoint is an adapter with the state of a trainer beside it. */
export type PathKind = "adapter" | "model" | "checkpoint" | "run";

/** A folder whose files tell what is in it. */
export interface FoundPath {
  readonly kind: PathKind;
  /** Folder that the weights lie in: a run's adapter lies in a folder of it. */
  readonly folder: string;
  readonly files: ReadonlySet<string>;
}

const CHECKPOINT_NAME = /^checkpoint-(\d+)$/;

async function filesIn(folder: string): Promise<Set<string>> {
  try {
    return new Set(await readdir(folder));
  } catch (error) {
    throw fileError(error, folder);
  }
}

/** The final adapter of a run, or the last of its checkpoints. */
async function adapterOfRun(run: string, files: ReadonlySet<string>): Promise<string> {
  const checkpoints = [...files]
    .filter((name) => CHECKPOINT_NAME.test(name))
    .sort((a, b) => Number(CHECKPOINT_NAME.exec(b)?.[1]) - Number(CHECKPOINT_NAME.exec(a)?.[1]));
  const candidates = files.has("adapter") ? ["adapter", ...checkpoints] : checkpoints;
  for (const name of candidates) {
    const inside = await filesIn(join(run, name));
    if (inside.has("adapter_config.json")) return join(run, name);
  }
  throw new HeirloomError("FILE_MISSING", "expected an adapter or a checkpoint in the run, found neither", {
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
  if (files.has("run.json")) {
    const folder = await adapterOfRun(path, files);
    return { kind: "run", folder, files: await filesIn(folder) };
  }
  if (files.has("adapter_config.json")) return { kind: files.has("trainer_state.json") ? "checkpoint" : "adapter", folder: path, files };
  if (files.has("config.json")) return { kind: "model", folder: path, files };
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

/** The weights of a folder, `<stem>.safetensors` or its shards. @throws FILE_MISSING */
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
  const hint = files.has(pickle)
    ? `${pickle} is a pickle, which is not read: save it as safetensors`
    : "check that the download is complete";
  throw new HeirloomError("FILE_MISSING", `expected ${single} or ${index}, found neither`, { where: folder, hint });
}
