import { join } from "node:path";
import { loadRuntime, type Runtime } from "../compute/index.ts";
import { type ChangeName, evaluationSettings } from "../config/index.ts";
import { type Folder, HeirloomError, isHeirloomError } from "../core/index.ts";
import { BatchSource } from "../data/index.ts";
import { CausalModel, EMBEDDING_KEY, loraPlans } from "../engine/index.ts";
import { openAdapterFolder } from "../folders/index.ts";
import type { LogEntry } from "../formats/index.ts";
import { assertSameLedger, type Ledger, ledgerCounts, ledgerTable, peftBanner } from "../ledger/index.ts";
import {
  type AdapterRecord,
  EventLog,
  listCheckpoints,
  type ParentRecord,
  parentRecord,
  RUN_FILES,
  readRunRecord,
  requireSameBase,
  setAsideEnd,
  setAsideLater,
  writeRunRecord,
} from "../runs/index.ts";
import type { TrainingResult } from "./api.ts";
import { type CheckpointState, checkFiles, readLog, readOptimizerState, readState } from "./checkpoint/index.ts";
import type { TrainingEvent } from "./events.ts";
import { finishRun } from "./finish.ts";
import { epochNotes, takeUpOptimizer } from "./foreign/index.ts";
import { continuationOwes, type Owed } from "./gates/index.ts";
import { Keeper } from "./keeper.ts";
import type { LiveRun, LoopContext } from "./live-run.ts";
import { Liveness } from "./liveness.ts";
import { runLoop } from "./loop.ts";
import { inputNotes } from "./notes.ts";
import { frozenTensors, observeSession } from "./observe.ts";
import { heldOutOf } from "./parent-sets.ts";
import { type Prepared, prepareRun, type SavedAdapter } from "./prepare.ts";
import { requireSameRun, requireSameTensors, runEnvironment, runRecord } from "./record.ts";
import { environmentNotes, scheduleNotes, soundState } from "./resume-changes.ts";
import type { Faults, RunRequest } from "./run-request.ts";
import { warmupLength } from "./schedule.ts";
import { TrainingSession } from "./session.ts";
import { countUpdates, positionAfter } from "./updates.ts";

/** What the job's body is given besides the request. */
export interface RunContext {
  emit(event: TrainingEvent): void;
  stopRequested(): boolean;
}

function batchSource({ config, train, tokenizer }: Prepared): BatchSource {
  const { training, data } = config;
  const options = {
    batchSize: training.batchSize,
    maxLength: data.maxLength,
    packing: data.packing,
    seed: training.seed,
    padId: tokenizer.padId ?? 0,
  };
  return new BatchSource(train.examples, options);
}

function buildModel(prepared: Prepared, runtime: Runtime): CausalModel {
  const { base, adapter, parameters, config } = prepared;
  return new CausalModel({
    runtime,
    spec: base.spec,
    base: base.weights,
    parameters,
    lora: adapter === null ? new Map() : loraPlans(adapter.resolved),
    dropout: adapter?.spec.dropout ?? 0,
    activations: config.engine.activations,
    threads: config.engine.threads,
  });
}

function buildSession(prepared: Prepared, model: CausalModel, steps: number): TrainingSession {
  const { training } = prepared.config;
  return new TrainingSession(model, {
    groups: prepared.groups,
    learningRate: training.learningRate,
    schedule: { name: training.schedule, steps, warmupSteps: warmupLength(steps, training) },
    training,
  });
}

interface StartingAdapter {
  readonly saved: SavedAdapter | null;
  readonly record: AdapterRecord | null;
  readonly parent: ParentRecord | null;
  readonly close: () => Promise<void>;
}

/** The link to the adapter that is continued, with the held-out sets that show what is forgotten of it. */
async function linkTo(request: RunRequest & { kind: "continue" }, folder: Folder, record: AdapterRecord | null): Promise<ParentRecord> {
  const link = await parentRecord(folder, record, request.handover?.files);
  const isAsked = evaluationSettings(request.config.evaluation).parentSets;
  return record === null || !isAsked ? link : { ...link, heldOut: heldOutOf(record) };
}

/** The adapter that a run starts from: that of the parent, or of the checkpoint. */
async function startingAdapter(request: RunRequest): Promise<StartingAdapter> {
  const path = request.kind === "continue" ? request.adapter : request.kind === "resume" ? request.checkpoint : null;
  if (path === null || request.config.adapter === null) return { saved: null, record: null, parent: null, close: () => Promise.resolve() };
  const resumed = request.kind === "resume" ? (await readRunRecord(request.run)).parent : null;
  const opened = await openAdapterFolder(path);
  const { spec, tensors, record, folder } = opened;
  const close = (): Promise<void> => folder.close();
  try {
    const parent = request.kind === "continue" ? await linkTo(request, folder, record) : resumed;
    return { saved: { spec, tensors }, record, parent, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function prepareFrom(request: RunRequest, start: StartingAdapter): Promise<Prepared> {
  try {
    return await prepareRun(request.config, {
      saved: start.saved,
      checkpoint: request.kind === "resume" ? request.checkpoint : null,
      startedAt: new Date(request.startedAt),
      heldOut: start.parent?.heldOut ?? {},
      requireBase: (base) => {
        if (request.kind === "continue" && !request.changed.includes("base")) requireSameBase(start.record, base);
      },
    });
  } finally {
    await start.close();
  }
}

/** The ledger of what the graphs for the run's first batch and the optimizer's slots really train. */
async function observe(session: TrainingSession, source: BatchSource): Promise<Ledger> {
  const { batch, sequence } = source.next();
  source.position = { epoch: 0, index: 0 };
  return observeSession(session.model, session.optimizer, batch, sequence);
}

interface Assembled {
  readonly run: LiveRun;
  readonly observed: Ledger;
  readonly parent: ParentRecord | null;
  /** What came to light while the state was taken over. */
  readonly notes: readonly string[];
}

/** Where a checkpoint left a run. */
interface Before {
  readonly checkpoint: string;
  readonly state: CheckpointState;
  /** What of the state is not gone on with. */
  readonly notes: readonly string[];
  readonly log: readonly LogEntry[];
}

/** The state of the checkpoint that is resumed from, once its files are known to be whole; null for a run that starts. */
async function stateBefore(request: RunRequest): Promise<Before | null> {
  if (request.kind !== "resume") return null;
  const { checkpoint } = request;
  const { state: saved, files } = await readState(checkpoint);
  await checkFiles(checkpoint, files);
  const kept = await listCheckpoints(request.run);
  const { state, notes } = soundState(
    saved,
    request.config,
    kept.some(({ step }) => step === saved.best?.step),
  );
  return { checkpoint, state, notes, log: await readLog(checkpoint) };
}

/** Puts the optimizer where the checkpoint left it. */
async function takeUp({ checkpoint, state }: Before, request: RunRequest, prepared: Prepared, session: TrainingSession): Promise<void> {
  if (request.kind !== "resume") return;
  requireSameRun(await readRunRecord(request.run), prepared, { recorded: state.configHash, given: request.configBefore });
  await readOptimizerState(checkpoint, session.optimizer, state.optimizer.parameters);
  session.optimizer.step = state.optimizer.step;
}

/** Puts the optimizer where another trainer left it, and the data behind as many updates; says where the epochs part. */
async function takeOver(request: RunRequest, prepared: Prepared, session: TrainingSession, source: BatchSource): Promise<string[]> {
  if (request.kind !== "continue" || request.handover === undefined) return [];
  const { step, epoch } = request.handover;
  await takeUpOptimizer(request.adapter, request.handover, session);
  source.position = positionAfter(source, step, prepared.config.training.accumulation);
  return epochNotes(step, epoch, source.epochs);
}

/** What is otherwise from here on in a run that is resumed. @throws CONFIG_INVALID if it is beyond its end already */
function resumeNotes(
  before: Before | null,
  { prepared, steps, environment }: Pick<LiveRun, "prepared" | "steps" | "environment">,
): string[] {
  if (before === null) return [];
  const { state } = before;
  if (steps < state.step) {
    throw new HeirloomError("CONFIG_INVALID", `expected at least the ${state.step} updates that are made, found ${steps}`, {
      where: "training.steps",
      hint: "resume from an earlier checkpoint, or ask for more",
    });
  }
  const course = { config: prepared.config, steps };
  return [...before.notes, ...scheduleNotes(state, course, state.step), ...environmentNotes(state.environment, environment)];
}

/** A wrong load, for tests of what must notice it. */
function disturb({ parameters }: Prepared, faults: Faults | undefined): void {
  for (const { name, factor } of faults?.scale ?? []) {
    const { values } = parameters.find((parameter) => parameter.name === name) ?? { values: new Float32Array() };
    for (let i = 0; i < values.length; i++) values[i] = (values[i] as number) * factor;
  }
}

/** What the run's first evaluation owes to that of the adapter that it continues. */
function owedBy(request: RunRequest, { base, config }: Prepared, record: AdapterRecord | null): Owed | null {
  if (request.kind !== "continue") return null;
  return continuationOwes(record, { config, baseFingerprint: base.fingerprint.value }, request.changed);
}

/** Model, optimizer and data of the run, at the position where it starts. */
async function assemble(
  request: RunRequest,
  prepared: Prepared,
  runtime: Runtime,
  { before, start }: { readonly before: Before | null; readonly start: StartingAdapter },
): Promise<Assembled> {
  const source = batchSource(prepared);
  const steps = countUpdates(source, prepared.config.training);
  const model = buildModel(prepared, runtime);
  model.weights.freeze(request.faults?.freeze ?? []);
  disturb(prepared, request.faults);
  const session = buildSession(prepared, model, steps);
  const observed = await observe(session, source);
  if (before !== null) await takeUp(before, request, prepared, session);
  if (before !== null) source.position = before.state.data;
  const notes = await takeOver(request, prepared, session, source);
  const seenTokens = new Set<number>();
  const liveness = new Liveness({
    expected: new Set(prepared.ledger.entries.filter((entry) => entry.trainable).map(({ name }) => name)),
    parameters: model.weights.parameters,
    frozen: frozenTensors(model.weights).map(({ name, liveName }) => ({ name: liveName, memory: model.weights.base.memory(name) })),
    // The padding token's row has no gradient even where the token is read as text.
    seenRows: (parameter) => (parameter.keys.includes(EMBEDDING_KEY) ? [...seenTokens].filter((id) => id !== model.spec.padTokenId) : null),
  });
  const environment = runEnvironment(prepared.config, runtime);
  const keeper = new Keeper(
    {
      id: request.id,
      folder: request.run,
      startedAt: request.startedAt,
      environment,
      changes: request.kind === "resume" ? request.changes : [],
    },
    prepared,
    session,
    observed,
  );
  const handover = request.kind === "continue" ? request.handover : undefined;
  const run = {
    prepared,
    session,
    source,
    keeper,
    liveness,
    seenTokens,
    steps,
    fromStep: before?.state.step ?? handover?.step ?? 0,
    before: before?.state ?? null,
    logBefore: before?.log ?? handover?.log ?? [],
    owed: owedBy(request, prepared, start.record),
    environment,
  };
  return { run, observed, parent: start.parent, notes: [...notes, ...resumeNotes(before, run), ...prepared.notes] };
}

/** What a run says of itself before anything is checked or written. */
function openingEvents(request: RunRequest, { run, observed, notes }: Assembled): TrainingEvent[] {
  const counts = ledgerCounts(observed);
  return [
    { type: "started", kind: request.kind, run: request.run, base: request.config.base, steps: run.steps, fromStep: run.fromStep },
    { type: "ledger", banner: peftBanner(counts), counts, rows: ledgerTable(observed) },
    ...[...request.assumptions, ...notes].map((message) => ({ type: "note" as const, message })),
    ...inputNotes(run.prepared).map((message) => ({ type: "note" as const, message })),
  ];
}

/** Changes that leave an adapter's tensors and their groups what they were. */
const KEEP_TENSORS: readonly ChangeName[] = ["base", "quantization", "alpha", "dropout"];

/** The contract: what is trained is what was configured and, in a continuation, what was trained before. */
function checkLedger(request: RunRequest, prepared: Prepared, observed: Ledger, record: AdapterRecord | null): void {
  assertSameLedger(prepared.ledger, observed, "the live model");
  if (request.kind === "continue" && request.changed.every((name) => KEEP_TENSORS.includes(name))) requireSameTensors(record, observed);
}

/**
 * Executes a run: prepares it, proves its ledger, records it, makes its updates
 * and writes what comes of it. The body of the training job.
 */
export async function executeRun(request: RunRequest, { emit, stopRequested }: RunContext): Promise<TrainingResult> {
  const began = performance.now();
  const runtime = await loadRuntime(); // first: a missing peer is to be told before gigabytes are read
  const before = await stateBefore(request);
  const start = await startingAdapter(request);
  const prepared = await prepareFrom(request, start);
  const assembled = await assemble(request, prepared, runtime, { before, start });
  const opening = openingEvents(request, assembled);
  try {
    for (const event of opening) emit(event);
    if (request.faults?.ledgerCheck !== false) checkLedger(request, prepared, assembled.observed, start.record);
    if (request.kind !== "resume")
      await writeRunRecord(request.run, await runRecord(request, prepared, assembled.observed, runtime, start.parent));
    if (request.kind === "resume") opening.push(...(await takeUpBranch(request, assembled.run)));
    return await makeUpdates(request, assembled, opening, { emit, stopRequested }, began);
  } finally {
    await assembled.run.session.model.dispose();
  }
}

/** Sets checkpoints aside that lie beyond the one resumed from, and an end that the run had come to, if it goes on or is judged otherwise. */
async function takeUpBranch(request: RunRequest, { fromStep, steps, before }: LiveRun): Promise<TrainingEvent[]> {
  const later = await setAsideLater(request.run, fromStep);
  const isJudgedAnew = request.kind === "resume" && request.changes.length > (before?.changes.length ?? 0);
  const ended = steps > fromStep || isJudgedAnew ? await setAsideEnd(request.run) : [];
  return [...later, ...ended].map((path) => ({ type: "note", message: `it belongs to a branch that is left, and is kept as ${path}` }));
}

async function makeUpdates(
  request: RunRequest,
  assembled: Assembled,
  opening: readonly TrainingEvent[],
  { emit, stopRequested }: RunContext,
  began: number,
): Promise<TrainingResult> {
  const log = await EventLog.open(join(request.run, RUN_FILES.events));
  const context: LoopContext = {
    stopRequested,
    async report(event) {
      emit(event);
      await log.append(event, new Date());
      if (event.type === "checkpoint") await log.flush();
    },
    flush: () => log.flush(),
  };
  try {
    if (request.kind === "resume")
      await log.append({ type: "resumed", fromStep: assembled.run.fromStep, changes: request.changes }, new Date());
    for (const event of opening) await log.append(event, new Date());
    const outcome = await runLoop(assembled.run, context);
    return await finishRun({ id: request.id, folder: request.run, ...assembled }, outcome, began, context);
  } catch (error) {
    const { code, message } = isHeirloomError(error) ? error : { code: "INTERNAL", message: String(error) };
    await log.append({ type: "failed", code, message }, new Date()).catch(() => undefined); // the error itself is what is told
    throw error;
  } finally {
    await log.close().catch((error: unknown) => emit({ type: "note", message: `the event log could not be completed: ${String(error)}` }));
  }
}
