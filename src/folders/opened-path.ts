import { HeirloomError } from "../core/index.ts";
import { type PeftConfig, parsePeftConfig, readJson, type TensorFile } from "../formats/index.ts";
import type { GgufFile } from "./gguf-file.ts";
import { fileIn, type OpenFolder } from "./open-folder.ts";
import { refuseShardedState } from "./sharded-state.ts";
import { openWeights } from "./weights.ts";

/** What a path turned out to be. A checkpoint has the state of a trainer beside its weights; a file is looked at by itself. */
export type PathKind = "adapter" | "model" | "checkpoint" | "run" | "file";

/** What an {@link OpenedPath} is made from. */
interface Found {
  readonly kind: PathKind;
  readonly holds: "adapter" | "model" | "trainer";
  readonly folder: OpenFolder;
  readonly files: ReadonlySet<string>;
  /** adapter_config.json or config.json, under the name that it has; null if there is none. */
  readonly configFile: string | null;
  /** Set if one file was named: the weights in it, or null if it holds none. */
  readonly named?: TensorFile | null;
  /** Set if the file is a GGUF file, which has configuration and weights in one. */
  readonly gguf?: GgufFile;
}

/** A folder or file whose content is known, open for reading. Close it when done. */
export class OpenedPath {
  readonly kind: PathKind;
  /** What its weights are; `trainer` if there are none, only a trainer's state. */
  readonly holds: "adapter" | "model" | "trainer";
  readonly folder: OpenFolder;
  /** Names in the folder; of a named file, that one. */
  readonly files: ReadonlySet<string>;
  readonly configFile: string | null;
  /** The header of a GGUF file; null for everything else. */
  readonly gguf: GgufFile | null;
  readonly #named: TensorFile | null | undefined;

  constructor({ kind, holds, folder, files, configFile, named, gguf }: Found) {
    this.kind = kind;
    this.holds = holds;
    this.folder = folder;
    this.files = files;
    this.configFile = configFile;
    this.#named = named;
    this.gguf = gguf ?? null;
  }

  /** Path or address of the folder that the weights lie in: a run's adapter lies in a folder of it. */
  get path(): string {
    return this.folder.name;
  }

  /** Path or address of a file, for messages. */
  where(file: string): string {
    return fileIn(this.folder.name, file);
  }

  /** A JSON file; of a GGUF file the configuration that it amounts to. @throws FILE_MISSING, JSON_INVALID, LFS_POINTER */
  async json(file: string): Promise<unknown> {
    if (this.gguf !== null) return (await import("./gguf-file.ts")).importedConfig(this.gguf);
    return readJson(await this.folder.open(file));
  }

  /** The adapter's configuration; null for a model, and for weights without one. @throws PEFT_CONFIG_INVALID */
  async adapterConfig(): Promise<PeftConfig | null> {
    if (this.holds !== "adapter" || this.configFile === null) return null;
    return parsePeftConfig(await this.json(this.configFile), this.where(this.configFile));
  }

  /** The weights by their headers; null if a file was named that holds none. @throws FILE_MISSING, WEIGHTS_SHARDED */
  async weights(): Promise<TensorFile | null> {
    if (this.#named !== undefined) return this.#named;
    const stem = this.holds === "adapter" ? "adapter_model" : "model";
    try {
      return await openWeights(this.folder, this.files, stem);
    } catch (error) {
      refuseShardedState(this.files, this.path);
      throw error;
    }
  }

  /** The weights. @throws FILE_MISSING also if a file was named that holds none; WEIGHTS_SHARDED */
  async requireWeights(): Promise<TensorFile> {
    const weights = await this.weights();
    if (weights !== null) return weights;
    const [file = ""] = this.files;
    const isFile = this.kind === "file";
    throw new HeirloomError("FILE_MISSING", `expected weights, found ${isFile ? "a file that holds none" : "a trainer's state alone"}`, {
      where: isFile ? this.where(file) : this.path,
      hint: isFile ? "name the folder that it lies in" : "put the weights and their configuration beside it",
    });
  }

  close(): Promise<void> {
    return this.folder.close();
  }
}
