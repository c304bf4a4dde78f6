import { type ByteSource, isHeirloomError } from "../core/index.ts";
import type { OpenedPath } from "../folders/index.ts";
import {
  dictOf,
  entryOfDict,
  listOf,
  type PickleValue,
  readJson,
  readSavedOptimizer,
  readTorchFile,
  type SavedOptimizer,
  scanTorchObject,
  TRAINER_FILES,
} from "../formats/index.ts";

/** What heirloom's own checkpoints have beside the Trainer's files: it names the optimizer's indices. */
const OWN_STATE = "heirloom_state.json";
/** One per process if there are several. */
const RNG_FILE = /^rng_state(_\d+)?\.pth$/;

/** Arguments worth repeating; others may be paths, addresses or tokens. */
const SHOWN_ARGUMENTS = [
  "optim",
  "learning_rate",
  "lr_scheduler_type",
  "warmup_steps",
  "warmup_ratio",
  "num_train_epochs",
  "max_steps",
  "per_device_train_batch_size",
  "gradient_accumulation_steps",
  "weight_decay",
  "max_grad_norm",
  "seed",
  "bf16",
  "fp16",
];

/** A learning rate as a trainer logged it. */
export interface LoggedRate {
  readonly step: number;
  readonly rate: number;
}

/** What a trainer left beside the weights. */
export interface TrainerFiles {
  readonly step: number | null;
  readonly maxSteps: number | null;
  readonly epoch: number | null;
  readonly epochs: number | null;
  readonly lastLoss: number | null;
  /** Logged learning rates, in order. */
  readonly rates: readonly LoggedRate[];
  readonly optimizer: SavedOptimizer | null;
  /** Live names at the optimizer's indices, where heirloom's own state tells them. */
  readonly namedOptimizer: readonly string[] | null;
  /** Rates per group after the last update. */
  readonly lastLearningRates: readonly number[] | null;
  /** Whose random numbers can go on: `python`, `numpy`, `cpu`, `cuda` … */
  readonly generators: readonly string[] | null;
  readonly argumentsClass: string | null;
  readonly arguments: Readonly<Record<string, string | number | boolean | null>>;
  /** Files that a resume needs and that are not there. */
  readonly missing: readonly string[];
  /** Why a file that is there was not read. */
  readonly unread: readonly string[];
}

const numberOf = (value: unknown): number | null => (typeof value === "number" && Number.isFinite(value) ? value : null);

function stateFields(json: unknown): Pick<TrainerFiles, "step" | "maxSteps" | "epoch" | "epochs" | "lastLoss" | "rates"> {
  const state = typeof json === "object" && json !== null ? (json as Readonly<Record<string, unknown>>) : {};
  const log = Array.isArray(state["log_history"]) ? (state["log_history"] as readonly unknown[]) : [];
  const losses = log.map((line) => numberOf((line as { loss?: unknown } | null)?.loss)).filter((loss) => loss !== null);
  return {
    step: numberOf(state["global_step"]),
    maxSteps: numberOf(state["max_steps"]),
    epoch: numberOf(state["epoch"]),
    epochs: numberOf(state["num_train_epochs"]),
    lastLoss: losses.at(-1) ?? null,
    rates: log.flatMap((line) => {
      const { step, learning_rate: rate } = (line ?? {}) as { step?: unknown; learning_rate?: unknown };
      return typeof step === "number" && typeof rate === "number" && Number.isFinite(rate) ? [{ step, rate }] : [];
    }),
  };
}

/** Live names at the optimizer's indices, as heirloom's own state has them. */
async function ownNames(source: ByteSource): Promise<string[] | null> {
  const state = (await readJson(source)) as { optimizer?: { parameters?: unknown } | null } | null;
  const names = state?.optimizer?.parameters;
  return Array.isArray(names) && names.every((name) => typeof name === "string") ? names : null;
}

function readScheduler(value: PickleValue): number[] {
  return listOf(entryOfDict(value, "_last_lr")).filter((rate) => typeof rate === "number");
}

/** Reads what a trainer left; a file in a form that is not read is named, not skipped. */
class CheckpointReader {
  readonly unread: string[] = [];
  readonly #opened: OpenedPath;

  constructor(opened: OpenedPath) {
    this.#opened = opened;
  }

  /** `null` if there is no such file, or if it is of an unsupported form. */
  async read<T>(file: string | undefined, work: (source: ByteSource) => Promise<T>): Promise<T | null> {
    if (file === undefined || !this.#opened.files.has(file)) return null;
    try {
      return await work(await this.#opened.folder.open(file));
    } catch (error) {
      if (!isHeirloomError(error) || error.code !== "TORCH_FILE_UNSUPPORTED") throw error;
      this.unread.push(`${file}: ${error.problems[0].message}`);
      return null;
    }
  }

  async torch<T>(file: string | undefined, work: (value: PickleValue) => Promise<T> | T): Promise<T | null> {
    return this.read(file, async (source) => work((await readTorchFile(source)).value));
  }
}

/**
 * Reads the state that the Hugging Face Trainer (or heirloom) saved beside the
 * weights: progress, optimizer, schedule, random numbers, arguments. Runs no pickle.
 *
 * @throws JSON_INVALID, LFS_POINTER, TORCH_FILE_INVALID, PICKLE_INVALID, PICKLE_UNSAFE, CHECKPOINT_INVALID
 */
export async function readTrainerFiles(opened: OpenedPath): Promise<TrainerFiles> {
  const { files } = opened;
  const reader = new CheckpointReader(opened);
  const rngFile = [...files].sort().find((name) => RNG_FILE.test(name));
  const state = await reader.read(TRAINER_FILES.state, readJson);
  const optimizer = await reader.read(TRAINER_FILES.optimizer, readSavedOptimizer);
  const scheduler = await reader.torch(TRAINER_FILES.scheduler, readScheduler);
  const generators = await reader.torch(rngFile, (value) => [...dictOf(value).keys()].filter((key) => typeof key === "string"));
  const object = await reader.read(TRAINER_FILES.arguments, scanTorchObject);
  const namedOptimizer = await reader.read(OWN_STATE, ownNames);
  const needed = [
    TRAINER_FILES.state,
    TRAINER_FILES.optimizer,
    TRAINER_FILES.scheduler,
    ...(rngFile === undefined ? ["rng_state.pth"] : []),
  ];
  return {
    ...stateFields(state),
    optimizer,
    namedOptimizer,
    lastLearningRates: scheduler ?? optimizer?.groups.map(({ learningRate }) => learningRate).filter((rate) => rate !== null) ?? null,
    generators,
    argumentsClass: object?.className ?? null,
    arguments: Object.fromEntries(
      SHOWN_ARGUMENTS.flatMap((key) => (object?.fields.has(key) === true ? [[key, object.fields.get(key) ?? null]] : [])),
    ),
    // One file that was named says nothing of what lies beside it.
    missing: opened.kind === "file" ? [] : needed.filter((file) => !files.has(file)),
    unread: reader.unread,
  };
}
