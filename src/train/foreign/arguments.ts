import type { ProblemList } from "../../core/index.ts";
import type { ScheduleName } from "../schedule.ts";
import type { TrainerCheckpoint } from "./files.ts";

/** Trainer's schedules that are ours too (transformers/optimization.py); a warm-up is left out of `constant`. */
const SCHEDULES: Readonly<Record<string, ScheduleName>> = {
  linear: "linear",
  cosine: "cosine",
  constant: "constant",
  constant_with_warmup: "constant",
};

/** Arguments that change what is computed, in a way that is not there here, and their values that change nothing. */
const REFUSED: readonly (readonly [name: string, neutral: readonly unknown[], what: string])[] = [
  ["label_smoothing_factor", [0, null], "the loss had label smoothing"],
  ["neftune_noise_alpha", [null, 0], "noise was added to the embeddings (NEFTune)"],
];

/** Precisions of the other run that are not those of this engine. */
const PRECISIONS = ["bf16", "fp16", "tf32"] as const;

/** What a checkpoint says of its run in the words of run.yaml; undefined: it does not say. */
export interface TrainerSettings {
  readonly schedule: ScheduleName | undefined;
  readonly warmupSteps: number | undefined;
  readonly steps: number | undefined;
  readonly batchSize: number | undefined;
  readonly accumulation: number | undefined;
  readonly maxGradNorm: number | null | undefined;
  readonly lossNormalization: "token" | undefined;
  readonly seed: number | undefined;
  readonly packing: boolean | undefined;
  readonly maxLength: number | undefined;
}

const isWhole = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const counted = (value: unknown): number | undefined => (isWhole(value) && value > 0 ? value : undefined);

/** A count, or a share of the run below 1 (transformers 5), or a share under another name (transformers 4). */
function warmupOf(args: NonNullable<TrainerCheckpoint["arguments"]>, schedule: string, steps: number | undefined): number | undefined {
  if (schedule === "constant") return 0;
  const [given, ratio] = [args.get("warmup_steps"), args.get("warmup_ratio")];
  if (typeof given === "number" && given >= 1) return Math.floor(given);
  const share = typeof given === "number" && given > 0 ? given : typeof ratio === "number" ? ratio : 0;
  if (share === 0) return 0;
  return steps === undefined ? undefined : Math.ceil(steps * share);
}

/** The settings of the run that a checkpoint was saved in. */
export function trainerSettings({ arguments: args, maxSteps, batchSize, processes }: TrainerCheckpoint): TrainerSettings {
  const steps = counted(maxSteps);
  if (args === null) {
    const open = { schedule: undefined, warmupSteps: undefined, accumulation: undefined, maxGradNorm: undefined };
    const loose = { lossNormalization: undefined, seed: undefined, packing: false, maxLength: undefined };
    return { ...open, ...loose, steps, batchSize: counted(batchSize) };
  }
  const schedule = args.get("lr_scheduler_type");
  const clip = args.get("max_grad_norm");
  const accumulation = counted(args.get("gradient_accumulation_steps"));
  const packing = args.get("packing");
  const seed = args.get("seed");
  return {
    schedule: typeof schedule === "string" ? SCHEDULES[schedule] : undefined,
    warmupSteps: typeof schedule === "string" ? warmupOf(args, schedule, steps) : undefined,
    steps,
    batchSize: counted(args.get("per_device_train_batch_size")) ?? counted(batchSize),
    // Several processes share an update: here they take turns.
    accumulation: accumulation === undefined ? undefined : accumulation * processes,
    maxGradNorm: typeof clip === "number" ? (clip > 0 ? clip : null) : clip === null ? null : undefined,
    // Before transformers had this argument it took the mean of the micro-batches' means.
    lossNormalization: args.has("average_tokens_across_devices") ? "token" : undefined,
    seed: isWhole(seed) && seed <= 0xffffffff ? seed : undefined,
    // transformers' own trainer knows no packing.
    packing: typeof packing === "boolean" ? packing : false,
    maxLength: counted(args.get("max_length")) ?? counted(args.get("max_seq_length")),
  };
}

/** The name of a schedule that is not one of ours; null if it is, or is not known. */
export function foreignSchedule({ arguments: args }: TrainerCheckpoint): string | null {
  const schedule = args?.get("lr_scheduler_type");
  return typeof schedule === "string" && SCHEDULES[schedule] === undefined ? schedule : null;
}

/** Refuses arguments that make another loss of it. */
export function refuseArguments({ arguments: args, path }: TrainerCheckpoint, problems: ProblemList, hint: string): void {
  for (const [name, neutral, what] of REFUSED) {
    const value = args?.get(name);
    if (value === undefined || neutral.includes(value)) continue;
    problems.add("HANDOVER_UNSUPPORTED", `${what} (${name} ${value}), which is not implemented`, { where: path, hint });
  }
}

/** Two counts of the same rows in the same batches agree but for rounding. */
const EPOCH_TOLERANCE = 1e-6;

/** Says so if as many updates are another share of the data here: other rows, or other batches. */
export function epochNotes(step: number, theirs: number | null, ours: number): string[] {
  if (theirs === null || Math.abs(theirs - ours) <= EPOCH_TOLERANCE * Math.max(1, theirs)) return [];
  return [`data: ${step} updates were ${theirs.toFixed(4)} epochs there and are ${ours.toFixed(4)} here: other rows, or other batches`];
}

/** What of a run's ways cannot be handed over exactly, or had to be assumed. */
export function trainerNotes(checkpoint: TrainerCheckpoint, dropout: number): string[] {
  const { arguments: args, processes, hasLossScaler, unread } = checkpoint;
  const precision = PRECISIONS.filter((name) => args?.get(name) === true);
  const random = dropout > 0 ? "the order of the data and the dropout masks" : "the order of the data";
  return [
    `random numbers: those of PyTorch and Python cannot be handed over, so ${random} are heirloom's own from here on`,
    "data: the files given here; a checkpoint does not say which rows its run had, so it cannot be checked",
    ...(processes > 1 ? [`processes: ${processes} trained together; here their micro-batches are accumulated one after the other`] : []),
    ...(precision.length > 0 || hasLossScaler
      ? [`precision: ${precision.join(", ") || "fp16"} there; the products and the loss are computed in fp32 here`]
      : []),
    ...(args !== null && args.get("average_tokens_across_devices") === undefined
      ? ["loss: no argument says how it was averaged over an update; by label tokens, unless training.lossNormalization says otherwise"]
      : []),
    ...(args === null ? ["training_args.bin is not there or was not read: what it would say is taken from the configuration"] : []),
    ...unread,
  ];
}
