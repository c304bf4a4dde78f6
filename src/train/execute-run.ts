import { join } from "node:path";
import { loadRuntime, type Runtime } from "../compute/index.ts";
import type { ChangeName } from "../config/index.ts";
import { isHeirloomError } from "../core/index.ts";
import { BatchSource } from "../data/index.ts";
import { CausalModel, EMBEDDING_KEY, loraPlans, readValues, writeValues } from "../engine/index.ts";
import { assertSameLedger, type Ledger, ledgerCounts, ledgerTable, peftBanner } from "../ledger/index.ts";
import { type AdapterRecord, EventLog, type ProfileSummary, RUN_FILES, requireSameBase, writeRunRecord } from "../runs/index.ts";
import type { TrainingResult } from "./api.ts";
import { productRate } from "./calibrate.ts";
import type { TrainingEvent } from "./events.ts";
import { type EndedRun, finishRun } from "./finish.ts";
import { Keeper } from "./keeper.ts";
import type { LiveRun, LoopContext } from "./live-run.ts";
import { Liveness } from "./liveness.ts";
import { runLoop } from "./loop.ts";
import { inputNotes } from "./notes.ts";
import { frozenTensors, observeSession } from "./observe.ts";
import { type Prepared, prepareRun } from "./prepare.ts";
import { Profile } from "./profile/index.ts";
import { requireSameTensors, runEnvironment, runRecord } from "./record.ts";
import type { Faults, RunRequest } from "./run-request.ts";
import { warmupLength } from "./schedule.ts";
import { TrainingSession } from "./session.ts";
import { openStart, type Start, type StartingState, takeUpBranch, takeUpStart } from "./starting-state.ts";
import { countUpdates } from "./updates.ts";

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
    parts: train.parts,
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

/** Reads and checks the run's inputs; what it starts from is closed then. */
async function prepare(request: RunRequest, start: Start): Promise<Prepared> {
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

interface Assembled extends Pick<LiveRun, "prepared" | "session" | "source" | "steps" | "environment"> {
  /** What the graphs and the optimizer really train. */
  readonly observed: Ledger;
}

/** A wrong load, for tests of what must notice it. */
function disturb({ parameters }: Prepared, faults: Faults | undefined): void {
  for (const { name, factor } of faults?.scale ?? []) {
    const parameter = parameters.find((candidate) => candidate.name === name);
    if (parameter !== undefined)
      writeValues(
        parameter,
        readValues(parameter).map((value) => value * factor),
      );
  }
}

/** Model, optimizer and data of the run, at its beginning. */
async function assemble(prepared: Prepared, runtime: Runtime, faults: Faults | undefined): Promise<Assembled> {
  const source = batchSource(prepared);
  const steps = countUpdates(source, prepared.config.training);
  const model = buildModel(prepared, runtime);
  model.weights.freeze(faults?.freeze ?? []);
  disturb(prepared, faults);
  const session = buildSession(prepared, model, steps);
  const observed = await observe(session, source);
  return { prepared, session, source, steps, environment: runEnvironment(prepared.config, runtime), observed };
}

/** What watches that everything trainable moves, and nothing else. */
function watch({ prepared, session: { model } }: Assembled, seenTokens: ReadonlySet<number>): Liveness {
  return new Liveness({
    expected: new Set(prepared.ledger.entries.filter((entry) => entry.trainable).map(({ name }) => name)),
    parameters: model.weights.parameters,
    frozen: frozenTensors(model.weights).map(({ name, liveName }) => ({ name: liveName, memory: model.weights.base.memory(name) })),
    // The padding token's row has no gradient even where the token is read as text.
    seenRows: (parameter) => (parameter.keys.includes(EMBEDDING_KEY) ? [...seenTokens].filter((id) => id !== model.spec.padTokenId) : null),
  });
}

/** The run at the point where it starts, with what keeps and watches it. */
function enliven(request: RunRequest, assembled: Assembled, { fromStep, before, logBefore, owed }: StartingState): LiveRun {
  const { prepared, session, source, steps, environment, observed } = assembled;
  const seenTokens = new Set<number>();
  const kept = {
    id: request.id,
    folder: request.run,
    startedAt: request.startedAt,
    environment,
    changes: request.kind === "resume" ? request.changes : [],
  };
  const keeper = new Keeper(kept, prepared, session, observed);
  const liveness = watch(assembled, seenTokens);
  return { prepared, session, source, keeper, liveness, seenTokens, steps, fromStep, before, logBefore, owed, environment };
}

/** What a run says of itself before anything is checked or written. */
function openingEvents(request: RunRequest, { observed, prepared, steps }: Assembled, { fromStep, notes }: StartingState): TrainingEvent[] {
  const counts = ledgerCounts(observed);
  const told = [...request.assumptions, ...notes, ...prepared.notes, ...inputNotes(prepared)];
  return [
    { type: "started", kind: request.kind, run: request.run, base: request.config.base, steps, fromStep },
    { type: "ledger", banner: peftBanner(counts), counts, rows: ledgerTable(observed) },
    ...told.map((message) => ({ type: "note" as const, message })),
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
export async function executeRun(request: RunRequest, context: RunContext): Promise<TrainingResult> {
  const profile = request.profile === undefined ? null : new Profile(request.profile, request.run);
  try {
    return await execute(request, context, profile);
  } finally {
    await profile?.end();
  }
}

async function execute(request: RunRequest, context: RunContext, profile: Profile | null): Promise<TrainingResult> {
  const began = performance.now();
  // First: a missing peer is to be told before gigabytes are read.
  const runtime = await loadRuntime(profile === null ? {} : { trace: profile.trace });
  const start = await openStart(request);
  const prepared = await prepare(request, start);
  const assembled = await assemble(prepared, runtime, request.faults);
  try {
    const state = await takeUpStart(request, start, assembled);
    const run = enliven(request, assembled, state);
    await run.keeper.companions(); // what is refused of them is so before hours of training
    const opening = openingEvents(request, assembled, state);
    for (const event of opening) context.emit(event);
    const { observed } = assembled;
    if (request.faults?.ledgerCheck !== false) checkLedger(request, prepared, observed, start.record);
    if (request.kind === "resume") {
      const branch = await takeUpBranch(request, run);
      for (const event of branch) context.emit(event);
      opening.push(...branch);
    } else await writeRunRecord(request.run, await runRecord(request, prepared, observed, runtime, start.parent));
    await measureGemm(profile, prepared);
    const going = { id: request.id, folder: request.run, run, observed, parent: start.parent, began, profile };
    return await makeUpdates(request, going, opening, context);
  } finally {
    await assembled.session.model.dispose();
  }
}

/** What an update is held against: measured before the first and after the last, as others on the machine may disturb either. */
async function measureGemm(profile: Profile | null, { base, config }: Prepared): Promise<void> {
  if (profile !== null) profile.hearGemmRate(await productRate(base.spec, config.engine.threads));
}

/** Ends a run's profile, and tells what it came to. */
async function tellProfile(profile: Profile | null, report: LoopContext["report"]): Promise<ProfileSummary | null> {
  const summary = (await profile?.end()) ?? null;
  if (summary !== null) await report({ type: "profile", ...summary });
  return summary;
}

async function makeUpdates(
  request: RunRequest,
  { profile, ...going }: Omit<EndedRun, "profile"> & { readonly profile: Profile | null },
  opening: readonly TrainingEvent[],
  { emit, stopRequested }: RunContext,
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
      await log.append({ type: "resumed", fromStep: going.run.fromStep, changes: request.changes }, new Date());
    for (const event of opening) await log.append(event, new Date());
    const outcome = await runLoop(going.run, context);
    await measureGemm(profile, going.run.prepared);
    const ended = { ...going, profile: await tellProfile(profile, context.report) };
    return await finishRun(ended, outcome, context);
  } catch (error) {
    if (profile?.isOpen === true) await tellProfile(profile, context.report).catch(() => undefined);
    const { code, message } = isHeirloomError(error) ? error : { code: "INTERNAL", message: String(error) };
    await log.append({ type: "failed", code, message }, new Date()).catch(() => undefined); // the error itself is what is told
    throw error;
  } finally {
    await log.close().catch((error: unknown) => emit({ type: "note", message: `the event log could not be completed: ${String(error)}` }));
  }
}
