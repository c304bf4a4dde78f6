import { decodeToF32 } from "../../codecs/index.ts";
import { isHeirloomError, readAll } from "../../core/index.ts";
import { type OpenedPath, openPath } from "../../folders/index.ts";
import {
  dictOf,
  entryOfDict,
  isTorchTensor,
  type LogEntry,
  listOf,
  type PickleValue,
  readTorchFile,
  scanTorchObject,
} from "../../formats/index.ts";

/** Files of a Trainer's checkpoint beside the weights. Without the first three nothing can be gone on with. */
export const TRAINER_FILES = {
  state: "trainer_state.json",
  optimizer: "optimizer.pt",
  scheduler: "scheduler.pt",
  arguments: "training_args.bin",
} as const;

/** One file per process if there were several. */
const RANK_FILE = /^rng_state_(\d+)\.pth$/;

type Plain = string | number | boolean | null;

/** One `param_groups` entry of an optimizer. */
export interface StoredGroup {
  /** Rate of the next update. */
  readonly learningRate: number | null;
  /** Rate that the schedule multiplies. */
  readonly peak: number | null;
  readonly weightDecay: number | null;
  readonly betas: readonly [number, number] | null;
  readonly epsilon: number | null;
  /** Options that tell one algorithm from another. */
  readonly options: ReadonlyMap<string, Plain>;
  readonly indices: readonly number[];
}

/** optimizer.pt without the tensors' values. */
export interface StoredOptimizer {
  readonly groups: readonly StoredGroup[];
  /** Index → what is kept of its parameter: key → shape and dtype; plain values have a null shape. */
  readonly state: ReadonlyMap<number, ReadonlyMap<string, { readonly shape: readonly number[] | null; readonly dtype: string }>>;
  /** Updates that the parameters have had; each number once. */
  readonly updates: readonly number[];
}

/** What a Trainer left in a checkpoint, as far as going on depends on it. */
export interface TrainerCheckpoint {
  readonly path: string;
  /** Names of its state files, for their hashes. */
  readonly stateFiles: readonly string[];
  readonly step: number | null;
  readonly maxSteps: number | null;
  /** With its fraction. */
  readonly epoch: number | null;
  readonly batchSize: number | null;
  readonly log: readonly LogEntry[];
  readonly optimizer: StoredOptimizer | null;
  /** Updates that the schedule has counted; null without scheduler.pt. */
  readonly scheduled: number | null;
  /** Fields of training_args.bin; null if it is not there or cannot be read. */
  readonly arguments: ReadonlyMap<string, Plain> | null;
  readonly argumentsClass: string | null;
  /** Why a file that is there was not read. */
  readonly unread: readonly string[];
  /** Processes that trained. */
  readonly processes: number;
  readonly hasLossScaler: boolean;
}

const numberOf = (value: unknown): number | null => (typeof value === "number" && Number.isFinite(value) ? value : null);
const isPlain = (value: unknown): value is Plain =>
  value === null || typeof value === "string" || typeof value === "number" || typeof value === "boolean";

function plainEntries(value: PickleValue): ReadonlyMap<string, Plain> {
  const entries = new Map<string, Plain>();
  for (const [key, entry] of dictOf(value)) if (typeof key === "string" && isPlain(entry)) entries.set(key, entry);
  return entries;
}

function storedGroup(group: PickleValue): StoredGroup {
  const options = plainEntries(group);
  const [beta1, beta2] = listOf(entryOfDict(group, "betas")).map(numberOf);
  return {
    learningRate: numberOf(options.get("lr")),
    peak: numberOf(options.get("initial_lr")),
    weightDecay: numberOf(options.get("weight_decay")),
    betas: typeof beta1 === "number" && typeof beta2 === "number" ? [beta1, beta2] : null,
    epsilon: numberOf(options.get("eps")),
    options,
    indices: listOf(entryOfDict(group, "params")).filter((index): index is number => Number.isSafeInteger(index)),
  };
}

async function stepOf(value: PickleValue | undefined): Promise<number | null> {
  if (!isTorchTensor(value)) return numberOf(value);
  if (value.dtype !== "F32" || value.shape.some((size) => size !== 1)) return null;
  return numberOf(decodeToF32(value.dtype, await readAll(value.source), value.source.name)[0]);
}

async function readOptimizer(value: PickleValue): Promise<StoredOptimizer> {
  const state = new Map<number, Map<string, { shape: readonly number[] | null; dtype: string }>>();
  const updates = new Set<number>();
  for (const [index, kept] of dictOf(entryOfDict(value, "state"))) {
    if (typeof index !== "number") continue;
    const own = new Map<string, { shape: readonly number[] | null; dtype: string }>();
    for (const [key, entry] of dictOf(kept)) {
      if (typeof key !== "string") continue;
      own.set(key, isTorchTensor(entry) ? { shape: entry.shape, dtype: entry.dtype } : { shape: null, dtype: "plain" });
    }
    const step = await stepOf(entryOfDict(kept, "step"));
    if (step !== null) updates.add(step);
    state.set(index, own);
  }
  return { groups: listOf(entryOfDict(value, "param_groups")).map(storedGroup), state, updates: [...updates] };
}

/** Rows of a Trainer's log, of their numbers those that are finite: it may hold bare NaN. */
function logOf(rows: unknown): LogEntry[] {
  if (!Array.isArray(rows)) return [];
  return (rows as readonly unknown[]).flatMap((row): LogEntry[] => {
    if (typeof row !== "object" || row === null) return [];
    const numbers = Object.fromEntries(Object.entries(row).filter((entry): entry is [string, number] => numberOf(entry[1]) !== null));
    const { step, epoch } = numbers;
    return step === undefined || epoch === undefined ? [] : [{ ...numbers, step, epoch }];
  });
}

function progressOf(json: unknown): Pick<TrainerCheckpoint, "step" | "maxSteps" | "epoch" | "batchSize" | "log"> {
  const state = typeof json === "object" && json !== null ? (json as Readonly<Record<string, unknown>>) : {};
  return {
    step: numberOf(state["global_step"]),
    maxSteps: numberOf(state["max_steps"]),
    epoch: numberOf(state["epoch"]),
    batchSize: numberOf(state["train_batch_size"]),
    log: logOf(state["log_history"]),
  };
}

/** Reads files of a folder; one in a form that is not read is named, not skipped. */
class FileReader {
  readonly unread: string[] = [];
  readonly #opened: OpenedPath;

  constructor(opened: OpenedPath) {
    this.#opened = opened;
  }

  async torch<T>(file: string, work: (value: PickleValue) => Promise<T> | T): Promise<T | null> {
    return this.#read(file, async () => work((await readTorchFile(await this.#opened.folder.open(file))).value));
  }

  async object(file: string) {
    return this.#read(file, async () => scanTorchObject(await this.#opened.folder.open(file)));
  }

  async #read<T>(file: string, work: () => Promise<T>): Promise<T | null> {
    if (!this.#opened.files.has(file)) return null;
    try {
      return await work();
    } catch (error) {
      if (!isHeirloomError(error) || error.code !== "TORCH_FILE_UNSUPPORTED") throw error;
      this.unread.push(`${file}: ${error.problems[0].message}`);
      return null;
    }
  }
}

/**
 * Reads what a Trainer left beside the weights. Runs no pickle.
 *
 * @throws JSON_INVALID, TORCH_FILE_INVALID, PICKLE_INVALID, PICKLE_UNSAFE, and what opening a folder throws
 */
export async function readTrainerCheckpoint(path: string): Promise<TrainerCheckpoint> {
  const opened = await openPath(path);
  try {
    const { files } = opened;
    const reader = new FileReader(opened);
    const progress = progressOf(files.has(TRAINER_FILES.state) ? await opened.json(TRAINER_FILES.state) : null);
    const optimizer = await reader.torch(TRAINER_FILES.optimizer, readOptimizer);
    const scheduled = await reader.torch(TRAINER_FILES.scheduler, (value) => numberOf(entryOfDict(value, "last_epoch")));
    const object = await reader.object(TRAINER_FILES.arguments);
    const ranks = [...files].flatMap((file) => RANK_FILE.exec(file)?.[1] ?? []).map(Number);
    return {
      path: opened.path,
      stateFiles: [...files].filter((file) => Object.values<string>(TRAINER_FILES).includes(file)).sort(),
      ...progress,
      optimizer,
      scheduled,
      arguments: object?.fields ?? null,
      argumentsClass: object?.className ?? null,
      unread: reader.unread,
      processes: ranks.reduce((most, rank) => Math.max(most, rank + 1), 1),
      hasLossScaler: files.has("scaler.pt"),
    };
  } finally {
    await opened.close();
  }
}
