import { evaluationSettings } from "../config/index.ts";
import { type Folder, HeirloomError } from "../core/index.ts";
import type { BatchSource } from "../data/index.ts";
import { openAdapterFolder } from "../folders/index.ts";
import type { LogEntry } from "../formats/index.ts";
import {
  type AdapterRecord,
  type Descendant,
  descendantsOf,
  listCheckpoints,
  type ParentRecord,
  parentRecord,
  readRunRecord,
  type SetAside,
  setAsideEnd,
  setAsideLater,
} from "../runs/index.ts";
import { type CheckpointState, readLog, readOptimizerState, readState } from "./checkpoint/index.ts";
import type { TrainingEvent } from "./events.ts";
import { epochNotes, takeUpOptimizer } from "./foreign/index.ts";
import { continuationOwes, type Owed } from "./gates/index.ts";
import type { LiveRun } from "./live-run.ts";
import { heldOutOf } from "./parent-sets.ts";
import type { Prepared, SavedAdapter } from "./prepare.ts";
import { requireSameRun } from "./record.ts";
import { environmentNotes, scheduleNotes, soundState } from "./resume-changes.ts";
import type { RunRequest } from "./run-request.ts";
import type { TrainingSession } from "./session.ts";
import { positionAfter } from "./updates.ts";

type ContinueRequest = Extract<RunRequest, { kind: "continue" }>;
type ResumeRequest = Extract<RunRequest, { kind: "resume" }>;

/** Where a checkpoint left a run. */
interface Before {
  readonly state: CheckpointState;
  /** What of the state is not gone on with. */
  readonly notes: readonly string[];
  readonly log: readonly LogEntry[];
}

/** What a run starts from, with its files open and nothing of it in memory. */
export interface Start {
  /** Where its process before this one left it; null for a run that starts. */
  readonly before: Before | null;
  /** The adapter whose values are gone on with; null for a new one. */
  readonly saved: SavedAdapter | null;
  /** Of that adapter's own run. */
  readonly record: AdapterRecord | null;
  /** The adapter that is, or was, continued. */
  readonly parent: ParentRecord | null;
  readonly close: () => Promise<void>;
}

/** A run that is put together and stands at its beginning. */
interface Standing {
  readonly prepared: Prepared;
  readonly session: TrainingSession;
  readonly source: BatchSource;
  /** Updates of the whole run. */
  readonly steps: number;
  readonly environment: Readonly<Record<string, string | number>>;
}

/** The point at which a run starts, and what it owes to what was before. */
export interface StartingState extends Pick<LiveRun, "fromStep" | "before" | "logBefore" | "owed"> {
  /** What is not gone on with, or otherwise from here on. */
  readonly notes: readonly string[];
}

/** The state of the checkpoint that is resumed from; its files are known to be whole. */
async function readBefore({ run, checkpoint, config }: ResumeRequest): Promise<Before> {
  const { state: saved } = await readState(checkpoint);
  const kept = await listCheckpoints(run);
  const isBestKept = kept.some(({ step }) => step === saved.best?.step);
  return { ...soundState(saved, config, isBestKept), log: await readLog(checkpoint) };
}

/** The link to the adapter that is continued, with the held-out sets that show what is forgotten of it. */
async function linkTo({ handover, config }: ContinueRequest, folder: Folder, record: AdapterRecord | null): Promise<ParentRecord> {
  const link = await parentRecord(folder, record, handover?.files);
  const isAsked = evaluationSettings(config.evaluation).parentSets;
  return record === null || !isAsked ? link : { ...link, heldOut: heldOutOf(record) };
}

/** The adapter that a run starts from: that of the parent, or of the checkpoint. */
async function openAdapter(request: RunRequest): Promise<Omit<Start, "before">> {
  const path = request.kind === "continue" ? request.adapter : request.kind === "resume" ? request.checkpoint : null;
  if (path === null || request.config.adapter === null) return { saved: null, record: null, parent: null, close: () => Promise.resolve() };
  const resumed = request.kind === "resume" ? (await readRunRecord(request.run)).parent : null;
  const { spec, tensors, record, folder } = await openAdapterFolder(path);
  const close = (): Promise<void> => folder.close();
  try {
    const parent = request.kind === "continue" ? await linkTo(request, folder, record) : resumed;
    return { saved: { spec, tensors }, record, parent, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/**
 * Opens what a run starts from; the caller closes it.
 *
 * @throws CHECKPOINT_INVALID, and what opening an adapter throws
 */
export async function openStart(request: RunRequest): Promise<Start> {
  const before = request.kind === "resume" ? await readBefore(request) : null;
  return { before, ...(await openAdapter(request)) };
}

/** Puts optimizer and data where the checkpoint left them. */
async function takeUp(request: ResumeRequest, { state }: Before, { prepared, session, source }: Standing): Promise<void> {
  requireSameRun(await readRunRecord(request.run), prepared, { recorded: state.configHash, given: request.configBefore });
  await readOptimizerState(request.checkpoint, session.optimizer, state.optimizer.parameters);
  session.optimizer.step = state.optimizer.step;
  source.position = state.data;
}

/** What is otherwise from here on in a run that is resumed. @throws CONFIG_INVALID if it is beyond its end already */
function resumeNotes({ state, notes }: Before, { prepared, steps, environment }: Standing): string[] {
  if (steps < state.step) {
    throw new HeirloomError("CONFIG_INVALID", `expected at least the ${state.step} updates that are made, found ${steps}`, {
      where: "training.steps",
      hint: "resume from an earlier checkpoint, or ask for more",
    });
  }
  const course = { config: prepared.config, steps };
  return [...notes, ...scheduleNotes(state, course, state.step), ...environmentNotes(state.environment, environment)];
}

/** Puts the optimizer where another trainer left it, and the data behind as many updates; says where the epochs part. */
async function takeOver(
  checkpoint: string,
  handover: NonNullable<ContinueRequest["handover"]>,
  { prepared, session, source }: Standing,
): Promise<string[]> {
  const { step, epoch } = handover;
  await takeUpOptimizer(checkpoint, handover, session);
  source.position = positionAfter(source, step, prepared.config.training.accumulation);
  return epochNotes(step, epoch, source.epochs);
}

/** What the run's first evaluation owes to that of the adapter that it continues. */
function owedBy(request: ContinueRequest, { base, config }: Prepared, record: AdapterRecord | null): Owed {
  return continuationOwes(record, { config, baseFingerprint: base.fingerprint.value }, request.changed);
}

/**
 * Puts a run that stands at its beginning where it starts: its own checkpoint, another trainer's, or the first update.
 *
 * @throws RESUME_CHANGED, CHECKPOINT_INVALID, CONFIG_INVALID
 */
export async function takeUpStart(request: RunRequest, { before, record }: Start, standing: Standing): Promise<StartingState> {
  if (request.kind === "resume" && before !== null) {
    await takeUp(request, before, standing);
    const { state, log } = before;
    return { fromStep: state.step, before: state, logBefore: log, owed: null, notes: resumeNotes(before, standing) };
  }
  if (request.kind !== "continue") return { fromStep: 0, before: null, logBefore: [], owed: null, notes: [] };
  const { handover, adapter } = request;
  const notes = handover === undefined ? [] : await takeOver(adapter, handover, standing);
  const owed = owedBy(request, standing.prepared, record);
  return { fromStep: handover?.step ?? 0, before: null, logBefore: handover?.log ?? [], owed, notes };
}

/** What is said of something that was set aside: where it is kept, and which runs stand on it. */
function asideNote({ from, to }: SetAside, descendants: readonly Descendant[]): string {
  const kept = `${from} belongs to a branch that is left, and is kept as ${to}`;
  const standing = descendants.filter(({ adapter }) => adapter === from).map(({ id }) => id);
  if (standing.length === 0) return kept;
  const [are, their] = standing.length === 1 ? ["run continues", "its"] : ["runs continue", "their"];
  return `${standing.length} ${are} it (${standing.join(", ")}): ${kept}, where ${their} lineage and \`eval --against parent\` find it by its bytes`;
}

/**
 * Sets checkpoints aside that lie beyond the one resumed from, and an end that the run had come to, if it goes on or is judged otherwise.
 *
 * @returns where they are kept, to be told
 */
export async function takeUpBranch(request: ResumeRequest, { fromStep, steps, before }: LiveRun): Promise<TrainingEvent[]> {
  const later = await setAsideLater(request.run, fromStep);
  const isJudgedAnew = request.changes.length > (before?.changes.length ?? 0);
  const ended = steps > fromStep || isJudgedAnew ? await setAsideEnd(request.run) : [];
  const moved = [...later, ...ended];
  if (moved.length === 0) return [];
  const descendants = await descendantsOf(request.run);
  return moved.map((place) => ({ type: "note", message: asideNote(place, descendants) }));
}
