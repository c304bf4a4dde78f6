import { type ByteSource, isHeirloomError } from "../../core/index.ts";
import { type OpenedPath, openPath } from "../../folders/index.ts";
import {
  entryOfDict,
  type LogEntry,
  readSavedOptimizer,
  readTorchFile,
  type SavedOptimizer,
  scanTorchObject,
  TRAINER_FILES,
} from "../../formats/index.ts";

/** One file per process if there were several. */
const RANK_FILE = /^rng_state_(\d+)\.pth$/;

type Plain = string | number | boolean | null;

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
  readonly optimizer: SavedOptimizer | null;
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

  async read<T>(file: string, work: (source: ByteSource) => Promise<T>): Promise<T | null> {
    if (!this.#opened.files.has(file)) return null;
    try {
      return await work(await this.#opened.folder.open(file));
    } catch (error) {
      if (!isHeirloomError(error) || error.code !== "TORCH_FILE_UNSUPPORTED") throw error;
      this.unread.push(`${file}: ${error.problems[0].message}`);
      return null;
    }
  }
}

/** Updates that a schedule has counted. */
async function readScheduled(source: ByteSource): Promise<number | null> {
  return numberOf(entryOfDict((await readTorchFile(source)).value, "last_epoch"));
}

/**
 * Reads what a Trainer left beside the weights. Runs no pickle.
 *
 * @throws JSON_INVALID, TORCH_FILE_INVALID, PICKLE_INVALID, PICKLE_UNSAFE, CHECKPOINT_INVALID, and what opening a folder throws
 */
export async function readTrainerCheckpoint(path: string): Promise<TrainerCheckpoint> {
  const opened = await openPath(path);
  try {
    const { files } = opened;
    const reader = new FileReader(opened);
    const progress = progressOf(files.has(TRAINER_FILES.state) ? await opened.json(TRAINER_FILES.state) : null);
    const optimizer = await reader.read(TRAINER_FILES.optimizer, readSavedOptimizer);
    const scheduled = await reader.read(TRAINER_FILES.scheduler, readScheduled);
    const object = await reader.read(TRAINER_FILES.arguments, scanTorchObject);
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
