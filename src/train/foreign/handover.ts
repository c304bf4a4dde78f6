import { resolveForEngine } from "../../adapter/index.ts";
import {
  CHANGE_NAMES,
  type ChangeName,
  type Changes,
  type ConfigSources,
  changeFlags,
  changeKey,
  type ResolvedConfig,
  RUN_CHANGE_NAMES,
  resolveConfig,
} from "../../config/index.ts";
import { ProblemList } from "../../core/index.ts";
import { type AdapterFolder, openAdapterFolder, openModelFolder } from "../../folders/index.ts";
import { type LogEntry, TRAINER_FILES } from "../../formats/index.ts";
import { adapterFromConfig, predictLedger } from "../../ledger/index.ts";
import type { ModelSpec } from "../../model/index.ts";
import { changedSelections, unnamedChanges } from "../continue.ts";
import { storedAdapterValues, type Values } from "../inherited.ts";
import { sameScales } from "../scales.ts";
import { refuseArguments, trainerNotes, trainerSettings } from "./arguments.ts";
import { readTrainerCheckpoint, type TrainerCheckpoint } from "./files.ts";
import { type ForeignOptimizer, foreignOptimizer } from "./optimizer.ts";
import { Contradictions, checkSchedule, requireSaid, runValues } from "./settings.ts";

/** Where another trainer left its run, by the names of its tensors; structured-cloneable. */
export interface Handover {
  /** Updates done: the next one is number `step + 1`. */
  readonly step: number;
  /** Its epoch there, with the fraction; null if it does not say. */
  readonly epoch: number | null;
  /** Updates that the optimizer has made, fewer than `step` if some were skipped. */
  readonly updates: number;
  /** Live name at each index of optimizer.pt. */
  readonly parameters: readonly string[];
  readonly log: readonly LogEntry[];
  /** Names of the files that the state was taken from, for their hashes. */
  readonly files: readonly string[];
}

/** What to go on with, by which configuration, and what may differ. */
export interface HandoverRequest {
  /** Folder of a checkpoint that the Hugging Face Trainer, or a tool built on it, wrote. */
  readonly checkpoint: string;
  /** Base and data at least: a checkpoint does not hold them. What it does say is inherited. */
  readonly sources: ConfigSources;
  readonly changes: Changes;
}

/** A hand-over with nothing left open. */
export interface ResolvedHandover extends ResolvedConfig {
  readonly checkpoint: string;
  readonly handover: Handover;
  readonly assumptions: readonly string[];
}

/** What `resume --change` may name. */
export const HANDOVER_CHANGES: readonly ChangeName[] = [...CHANGE_NAMES, ...RUN_CHANGE_NAMES];

/** Changes after which the optimizer's state would no longer be that of the tensors. */
const OTHER_TENSORS: readonly ChangeName[] = [
  "rank",
  "rankPattern",
  "targetModules",
  "excludeModules",
  "layers",
  "modulesToSave",
  "ensureWeightTying",
];

const weightsOnly = (path: string): string => `go on with the weights alone, with a new optimizer: heirloom continue ${path} -c run.yaml`;

/** Notes files without which nothing can be gone on with, and what of the adapter would not fit its state. */
function requireState({ path, step, optimizer, scheduled, unread }: TrainerCheckpoint, changes: Changes, problems: ProblemList): void {
  const hint = weightsOnly(path);
  const needed: readonly (readonly [string, unknown])[] = [
    [TRAINER_FILES.state, step],
    [TRAINER_FILES.optimizer, optimizer],
    [TRAINER_FILES.scheduler, scheduled],
  ];
  for (const [file, value] of needed) {
    if (value !== null) continue;
    const why = unread.find((line) => line.startsWith(`${file}: `)) ?? "it is not there, or does not say where the run stood";
    problems.add("HANDOVER_INCOMPLETE", why, { where: `${path}/${file}`, hint });
  }
  if (step !== null && scheduled !== null && step !== scheduled)
    problems.add("HANDOVER_UNSUPPORTED", `trainer_state.json stands at update ${step}, scheduler.pt at ${scheduled}`, {
      where: path,
      hint,
    });
  for (const name of OTHER_TENSORS.filter((change) => changes.named.has(change)))
    problems.add("CONTINUE_CHANGE_INVALID", "the optimizer's state is that of the tensors as they are", {
      where: `--change ${name}`,
      hint,
    });
}

/** The checkpoint's optimizer by the names that the adapter's tensors have on a base. */
function namedOptimizer(
  checkpoint: TrainerCheckpoint,
  adapter: AdapterFolder,
  spec: ModelSpec,
  problems: ProblemList,
): ForeignOptimizer | null {
  resolveForEngine(spec, adapter.spec);
  const ledger = predictLedger(spec, adapter.spec, [], { baseDtype: "F32", quantization: null });
  const trainable = ledger.entries.filter((entry) => entry.trainable);
  return foreignOptimizer(checkpoint, trainable, problems, weightsOnly(checkpoint.path));
}

/** Notes a run that has nothing left to do. */
function requireUpdatesLeft({ step, path }: TrainerCheckpoint, { config }: ResolvedConfig, problems: ProblemList): void {
  const { steps } = config.training;
  if (step === null || steps === null || step < steps) return;
  problems.add("HANDOVER_INCOMPLETE", `the run was at its end: update ${step} of ${steps}`, {
    where: path,
    hint: `more updates by the same schedule: --change steps=${2 * step}; or begin a new one: heirloom continue ${path} -c run.yaml`,
  });
}

/** A base that is not quantized itself can be kept either way, and the checkpoint does not say which it was. */
function requireQuantization({ provenance }: ResolvedConfig, spec: ModelSpec, problems: ProblemList): void {
  if (spec.quantization !== null || (provenance["quantization"] ?? provenance["quantization.type"] ?? "default") !== "default") return;
  problems.add("HANDOVER_INCOMPLETE", "the checkpoint does not say whether the base was quantized, and the configuration neither", {
    where: "quantization",
    hint: "say it as that run had it: quantization: nf4, or none",
  });
}

/** Everything that is inherited, keyed as in run.yaml, and the keys in which it ranks above a preset. */
function inheritance(adapter: Values, run: { training: Values; data: Values }, changes: Changes): { values: Values; own: string[] } {
  const own = HANDOVER_CHANGES.filter((name) => !changes.named.has(name)).map(changeKey);
  return { values: { adapter, ...run }, own: [...own, "adapter.init", "training.warmupRatio", "training.epochs"] };
}

/** The notes on what was assumed, in the order in which a person wants to know. */
function assumptionsOf(
  checkpoint: TrainerCheckpoint,
  adapter: AdapterFolder,
  optimizer: ForeignOptimizer,
  notes: readonly string[],
): string[] {
  const { step, path, argumentsClass } = checkpoint;
  const { spec } = adapter;
  const skipped = step === null ? 0 : step - optimizer.updates;
  return [
    `this goes on with ${path}, which another trainer wrote${argumentsClass === null ? "" : ` (${argumentsClass})`}, at update ${(step ?? 0) + 1}`,
    `optimizer: AdamW after ${optimizer.updates} updates, its ${optimizer.parameters.length} tensors matched by the order of ${optimizer.order} (${optimizer.groups.map(({ name, tensors }) => `${name} ${tensors.length}`).join(", ")})`,
    ...(skipped > 0 ? [`updates: ${skipped} of ${step} were skipped there, as a loss scaler does; they count in the schedule only`] : []),
    `base model: the one given; it cannot be checked (the adapter names ${JSON.stringify(spec.baseModel)})`,
    ...trainerNotes(checkpoint, spec.dropout),
    ...notes,
  ];
}

/** Whether the tensors' choice or scaling differs by the configuration. */
function adapterChanges(adapter: AdapterFolder, spec: ModelSpec, { config }: ResolvedConfig): Parameters<typeof unnamedChanges>[3] {
  const wanted = config.adapter === null ? adapter.spec : adapterFromConfig(config.adapter, config.base);
  return { selections: changedSelections(spec, adapter.spec, wanted), scales: !sameScales(spec, adapter.spec, wanted) };
}

async function specOf(base: string): Promise<ModelSpec> {
  const model = await openModelFolder(base);
  await model.folder.close();
  return model.spec;
}

/**
 * Reads what another trainer's checkpoint holds, by the names of its tensors on a
 * base. Everything that stands in the way is noted.
 */
async function readHandover(path: string, adapter: AdapterFolder, spec: ModelSpec, changes: Changes, problems: ProblemList) {
  const checkpoint = await readTrainerCheckpoint(path);
  requireState(checkpoint, changes, problems);
  refuseArguments(checkpoint, problems, weightsOnly(path));
  return { checkpoint, optimizer: namedOptimizer(checkpoint, adapter, spec, problems) };
}

function handoverOf({ step, epoch, log, stateFiles }: TrainerCheckpoint, { updates, parameters }: ForeignOptimizer): Handover {
  return { step: step ?? 0, epoch, updates, parameters, log, files: stateFiles };
}

/**
 * The hand-over of a checkpoint for a run whose configuration is known already.
 *
 * @throws HANDOVER_UNSUPPORTED, HANDOVER_INCOMPLETE, and what reading checkpoint and base throws
 */
export async function recordedHandover(path: string, base: string): Promise<Handover> {
  const problems = new ProblemList();
  const adapter = await openAdapterFolder(path);
  try {
    const read = await readHandover(path, adapter, await specOf(base), { named: new Set(), values: {} }, problems);
    problems.throwIfAny();
    return handoverOf(read.checkpoint, read.optimizer as ForeignOptimizer);
  } finally {
    await adapter.folder.close();
  }
}

/**
 * Works out how another trainer's run is gone on with: its optimizer by names, its
 * settings from what it left, and every contradiction that no change names refused, all at once.
 *
 * @throws HANDOVER_UNSUPPORTED, HANDOVER_INCOMPLETE, RESUME_CHANGED, CONTINUE_CHANGED, CONTINUE_CHANGE_INVALID, and what
 * reading checkpoint, base and configuration throws
 */
export async function resolveHandover({ checkpoint: path, sources, changes }: HandoverRequest): Promise<ResolvedHandover> {
  const adapter = await openAdapterFolder(path);
  try {
    const problems = new ProblemList();
    const stored = storedAdapterValues(adapter);
    const resolve = (run: { training: Values; data: Values }): ResolvedConfig => {
      const flags = [...(sources.flags ?? []), ...changeFlags(changes)];
      return resolveConfig({ ...sources, flags, inherited: { name: path, ...inheritance(stored.values, run, changes) } });
    };
    // Which tensor an index means shows on the base, which only the configuration names.
    const spec = await specOf(resolve({ training: {}, data: {} }).config.base);
    const { checkpoint, optimizer } = await readHandover(path, adapter, spec, changes, problems);
    const run = runValues(trainerSettings(checkpoint), optimizer);
    const resolved = resolve(run);
    for (const problem of unnamedChanges(
      { adapter: stored.values },
      resolved.config,
      changes.named,
      adapterChanges(adapter, spec, resolved),
    ).problems)
      problems.add(problem.code, problem.message, problem);
    new Contradictions(run, resolved, changes, problems).collect(optimizer);
    requireSaid(run, resolved, problems);
    requireQuantization(resolved, spec, problems);
    requireUpdatesLeft(checkpoint, resolved, problems);
    if (optimizer !== null) checkSchedule(checkpoint, optimizer, resolved.config, changes, problems);
    problems.throwIfAny();
    const known = optimizer as ForeignOptimizer; // else its absence was noted
    const assumptions = assumptionsOf(checkpoint, adapter, known, stored.notes);
    return { ...resolved, checkpoint: path, handover: handoverOf(checkpoint, known), assumptions };
  } finally {
    await adapter.folder.close();
  }
}
