import { stat } from "node:fs/promises";
import { dirname, join, resolve as resolvePath } from "node:path";
import { absolutePaths, type FlagValue, type RunConfig } from "../config/index.ts";
import { HeirloomError, isHeirloomError } from "../core/index.ts";
import { runJob } from "../core/node/index.ts";
import { checkpointStep, configHash, RUN_FILES, RunLock, type RunRecord, readRunRecord, sweepRun } from "../runs/index.ts";
import type { ContinueRequest, TrainingOptions, TrainingResult } from "./api.ts";
import { resolveContinuation } from "./continue.ts";
import { type HandoverRequest, resolveHandover } from "./foreign/index.ts";
import { changedConfig } from "./resume-changes.ts";
import type { Faults, RunRequest } from "./run-request.ts";
import { trainJob } from "./train-worker.ts";
import { VERSION } from "./version.ts";
import { locateCheckpoint, wholeCheckpoint } from "./whole-checkpoint.ts";

/** For the demo and tests only: {@link TrainingOptions} with a disturbance of the live model. */
export interface DisturbedOptions extends TrainingOptions {
  readonly faults?: Faults;
  /** True: on the caller's thread, which saves a test the start of a worker. */
  readonly inline?: boolean;
}

/** What a request for a new run holds besides its id, folder and times. */
export type NewRun = Unplaced<Exclude<RunRequest, { kind: "resume" }>>;
type Unplaced<R> = R extends RunRequest ? Omit<R, "id" | "run" | "createdAt" | "startedAt"> & { readonly startedAt?: string } : never;

/** Runs the job while this process holds the run's lock. */
async function underLock(lock: RunLock, request: RunRequest, options: DisturbedOptions): Promise<TrainingResult> {
  const { onEvent, signal, faults, profile, inline = false } = options;
  const given = {
    ...request,
    ...(faults === undefined ? {} : { faults }),
    ...(profile === undefined ? {} : { profile: profile === true ? profile : resolvePath(profile) }),
  };
  try {
    return await runJob(trainJob, given, {
      inline,
      ...(onEvent === undefined ? {} : { onEvent }),
      ...(signal === undefined ? {} : { signal }),
    });
  } finally {
    lock.release();
  }
}

/** Makes a folder for a run, and runs it there. */
export async function startRun(run: NewRun, options: DisturbedOptions): Promise<TrainingResult> {
  const now = new Date();
  const { id, lock } = RunLock.acquireNew(run.config.output, now, VERSION);
  const createdAt = now.toISOString();
  return underLock(lock, { startedAt: createdAt, ...run, id, run: lock.run, createdAt }, options);
}

/**
 * Trains what a configuration describes (see `resolveConfig`) in a worker thread.
 *
 * @returns the run folder, its final adapter, counts, and held-out losses before and after
 * @throws every code of configuration, files and data; LEDGER_MISMATCH, LIVENESS_FAILED, LOSS_NOT_FINITE, INTERRUPTED
 */
export function train(given: RunConfig, options: DisturbedOptions = {}): Promise<TrainingResult> {
  const config = absolutePaths(given, process.cwd());
  return startRun({ kind: "train", config, provenance: options.provenance ?? {}, assumptions: [] }, options);
}

/**
 * Continues an adapter as exactly what it is: rank, alpha, targets, layers, full
 * copies, dtypes and groups are inherited, and a difference that no change names is refused.
 *
 * @throws CONTINUE_CHANGED, CONTINUE_CHANGE_INVALID, BASE_MISMATCH, ADAPTER_UNSUPPORTED, and what {@link train} throws
 */
export async function continueTraining(request: ContinueRequest, options: DisturbedOptions = {}): Promise<TrainingResult> {
  const { config: given, provenance, adapter, assumptions } = await resolveContinuation(request);
  const config = absolutePaths(given, process.cwd());
  return startRun({ kind: "continue", config, provenance, assumptions, adapter, changed: [...request.changes.named] }, options);
}

/**
 * Goes on with a run of the Hugging Face Trainer, or of a tool built on it, as a new run whose first update
 * is the one after the checkpoint's last: its adapter, moments and counts by name, its groups, rates and schedule.
 *
 * @throws HANDOVER_UNSUPPORTED, HANDOVER_INCOMPLETE, RESUME_CHANGED, CONTINUE_CHANGED, CONTINUE_CHANGE_INVALID, and what {@link train} throws
 */
export async function resumeTrainer(request: HandoverRequest, options: DisturbedOptions = {}): Promise<TrainingResult> {
  const { config: given, provenance, checkpoint, handover, assumptions } = await resolveHandover(request);
  const config = absolutePaths(given, process.cwd());
  const changed = [...request.changes.named];
  return startRun({ kind: "continue", config, provenance, assumptions, adapter: checkpoint, changed, handover }, options);
}

/** The run that a path is about: of a checkpoint's, the folder that it lies in. @throws FILE_MISSING */
async function runOf(path: string): Promise<string> {
  const exists = await stat(path).then(
    () => true,
    () => false,
  );
  if (exists) return checkpointStep(path) === null ? path : dirname(path);
  throw new HeirloomError("FILE_MISSING", "no such run or checkpoint", {
    where: path,
    hint: "run folders are under the configuration's output, `runs` by default",
  });
}

/** What a run is resumed by. A folder without it is not touched. @throws CHECKPOINT_INVALID, RECORD_INVALID */
async function recordOf(run: string, path: string): Promise<RunRecord> {
  try {
    return await readRunRecord(run);
  } catch (error) {
    if (!isHeirloomError(error) || error.code !== "FILE_MISSING") throw error;
    const checkpoint = await locateCheckpoint(path, false);
    throw new HeirloomError("RECORD_INVALID", "expected the record of the checkpoint's run beside it, found none", {
      where: join(run, RUN_FILES.record),
      hint: `put run.json back, or go on from the checkpoint as a new run: heirloom continue ${checkpoint} -c more.yaml`,
      cause: error,
    });
  }
}

/** How a run is resumed. */
export interface ResumeOptions extends DisturbedOptions {
  /** What may be otherwise from here on: values by dotted key of run.yaml. */
  readonly changes?: readonly FlagValue[];
}

/**
 * Goes on with an interrupted run from its last whole checkpoint, or the one named. Where the last is damaged, it is
 * said which one is gone on with instead; one that was named must be whole.
 *
 * @param path folder of a run or of one of its checkpoints
 * @throws RUN_LOCKED if another process works on it; RESUME_CHANGED if base, tokenizer or data are not those of the record, or for a change
 * that would make it another run; CHECKPOINT_INVALID
 */
export async function resume(path: string, { changes = [], ...options }: ResumeOptions = {}): Promise<TrainingResult> {
  const run = await runOf(path);
  const record = await recordOf(run, path);
  const lock = RunLock.acquire(run, VERSION);
  try {
    // Under the lock: until now, another process may have gone on, or been killed while it wrote.
    await sweepRun(run);
    const { checkpoint, state, notes } = await wholeCheckpoint(path, run);
    const { id, createdAt, startedAt, provenance } = record;
    const common = { id, createdAt, startedAt, run, provenance, assumptions: [...(lock.note === null ? [] : [lock.note]), ...notes] };
    // Once something was changed, the record says what the run began with, and the checkpoint what it went on with.
    const before = state.changes.length === 0 ? record.config : state.config;
    const request: RunRequest = {
      ...common,
      kind: "resume",
      checkpoint,
      config: absolutePaths(changedConfig(before, changes), process.cwd()),
      configBefore: configHash(before),
      changes: [...state.changes, ...changes.map(({ key, value }) => `${key}=${JSON.stringify(value)}`)],
    };
    return await underLock(lock, request, options);
  } finally {
    lock.release();
  }
}
