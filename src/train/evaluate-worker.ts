import { dirname } from "node:path";
import { evaluationSettings, type GateConfig } from "../config/index.ts";
import { HeirloomError, isHeirloomError } from "../core/index.ts";
import { defineJob } from "../core/node/index.ts";
import { datasetReading, loadDataset } from "../data/index.ts";
import { locateModel } from "../folders/index.ts";
import { type AnswerSet, type LoadedModel, loadAnswers, loadModel, scoreAnswers } from "../generate/index.ts";
import { type AdapterRecord, findParent, type HeldOutRecord, type RunRecord, readRunRecord } from "../runs/index.ts";
import type { EvaluationRequest, EvaluationResult, RecordedLoss } from "./api.ts";
import { type EvaluationBatches, evaluateDataset } from "./evaluate.ts";
import type { TrainingEvent } from "./events.ts";
import { judgeGates, requireKnownSets } from "./gates/index.ts";
import { type HeldOutSet, loadParentSets } from "./parent-sets.ts";
import { recordedGates } from "./recorded-gates.ts";
import { holdAgainstRecord } from "./recorded-losses.ts";

/** Longest row and batch where neither the request nor a record says. */
const DEFAULT_MAX_LENGTH = 1024;
const DEFAULT_BATCH_SIZE = 4;
/** As in run.yaml. */
const DEFAULT_ANSWER_TOKENS = 32;

type FileSets = Readonly<Record<string, readonly string[]>>;

/** What is evaluated, and how: the same for both sides of a comparison. */
interface Plan {
  readonly sets: FileSets;
  readonly answers: FileSets;
  /** Sets of the adapter that the run continued: evaluated with the run's own, where two are compared. */
  readonly heldOut: Readonly<Record<string, HeldOutRecord>>;
  readonly answerTokens: number;
  readonly batches: Omit<EvaluationBatches, "padId">;
  /** Whose template, policy for long rows and date the data are read with. */
  readonly record: AdapterRecord | null;
  /** The sets are those of the record, so that their losses are recorded, too. */
  readonly isRecorded: boolean;
}

interface JobContext {
  emit(event: TrainingEvent): void;
  stopRequested(): boolean;
}

/** The files to evaluate on: those named, else the held-out sets and answers of the record; batches as the run's own had them. */
function planOf(request: EvaluationRequest, record: AdapterRecord | null, heldOut: Plan["heldOut"]): Plan {
  const { data, sets: named, answers: asked, path } = request;
  const isRecorded = data === undefined && named === undefined && asked === undefined;
  const config = record?.config;
  const settings = config === undefined ? null : evaluationSettings(config.evaluation);
  const sets = isRecorded ? (config?.data.eval ?? {}) : { ...(data === undefined ? {} : { data }), ...named };
  const answers = isRecorded ? (settings?.answers ?? {}) : (asked ?? {});
  if (Object.keys(sets).length + Object.keys(answers).length === 0) {
    throw new HeirloomError("DATA_EMPTY", "there is nothing to evaluate on: neither the command nor the run's record names held-out data", {
      where: path,
      hint: "name a file with --data or --answers",
    });
  }
  return {
    sets,
    answers,
    heldOut: isRecorded ? heldOut : {},
    answerTokens: request.answerTokens ?? settings?.answerTokens ?? DEFAULT_ANSWER_TOKENS,
    batches: {
      batchSize: request.batchSize ?? config?.evaluation.batchSize ?? config?.training.batchSize ?? DEFAULT_BATCH_SIZE,
      maxLength: request.maxLength ?? config?.data.maxLength ?? DEFAULT_MAX_LENGTH,
      packing: config?.data.packing ?? true,
    },
    record,
    isRecorded,
  };
}

type Losses = { readonly dataset: string; readonly loss: number; readonly perplexity: number; readonly tokens: number }[];
type Scores = { readonly dataset: string; readonly exactMatch: number; readonly f1: number; readonly rows: number }[];

/** The date that a chat template prints. */
function dateOf(record: AdapterRecord | null): Date {
  const startedAt = record?.startedAt ?? null;
  return startedAt === null ? new Date() : new Date(startedAt);
}

/** The data of a plan as one side reads them. */
interface Sets {
  readonly losses: ReadonlyMap<string, HeldOutSet>;
  readonly answers: ReadonlyMap<string, AnswerSet>;
  /** The run's own set that a parent's is, by the parent's name. */
  readonly aliases: ReadonlyMap<string, string>;
}

async function loadSets({ model, tokenizer, record: own }: LoadedModel, plan: Plan, context: JobContext): Promise<Sets> {
  const { record } = plan;
  const { onTooLong = "error", template = null } = record?.config.data ?? {};
  const reading = datasetReading(record?.config.data ?? {});
  const now = dateOf(record);
  const batches = { ...plan.batches, padId: tokenizer.padId ?? 0 };
  const losses = new Map<string, HeldOutSet>();
  for (const [name, files] of Object.entries(plan.sets)) {
    const dataset = await loadDataset({ ...reading, files, maxLength: batches.maxLength, onTooLong, template, now }, tokenizer);
    losses.set(name, { dataset, batches });
    const before = own?.evaluations.find((evaluation) => evaluation.dataset === name);
    if (plan.isRecorded && own === record && before !== undefined && before.fingerprint !== dataset.fingerprint)
      context.emit({ type: "note", message: `the rows of "${name}" are not those that the run was evaluated on` });
  }
  const fingerprints = new Map([...losses].map(([name, { dataset }]) => [dataset.fingerprint, name]));
  const parents = await loadParentSets(plan.heldOut, fingerprints, tokenizer);
  for (const message of parents.notes) context.emit({ type: "note", message });
  const answers = new Map<string, AnswerSet>();
  for (const [name, files] of Object.entries(plan.answers))
    answers.set(name, await loadAnswers(files, tokenizer, { maxPositions: model.spec.maxPositions, now, template }));
  return { losses: new Map([...losses, ...parents.sets]), answers, aliases: parents.aliases };
}

async function measureLosses({ model, record: own }: LoadedModel, sets: Sets, context: JobContext): Promise<Losses> {
  const found: Losses = [];
  for (const [dataset, held] of sets.losses) {
    if (context.stopRequested()) throw new HeirloomError("INTERRUPTED", `stopped before the data set "${dataset}"`);
    const { loss, perplexity, labelTokens } = await evaluateDataset(model, held.dataset, held.batches, `held-out set "${dataset}"`);
    found.push({ dataset, loss, perplexity, tokens: labelTokens });
    context.emit({ type: "evaluation", step: own?.step ?? 0, dataset, loss, perplexity, tokens: labelTokens });
  }
  return found;
}

async function measureAnswers(
  { model, tokenizer, record: own }: LoadedModel,
  sets: Sets,
  plan: Plan,
  context: JobContext,
): Promise<Scores> {
  const found: Scores = [];
  for (const [dataset, set] of sets.answers) {
    const scores = await scoreAnswers(model, tokenizer, set, { maxTokens: plan.answerTokens, stopRequested: context.stopRequested });
    found.push({ dataset, ...scores });
    context.emit({ type: "answers", step: own?.step ?? 0, dataset, ...scores });
  }
  return found;
}

interface Measurement {
  readonly evaluations: Losses;
  /** Those of them that the record has, too. */
  readonly recorded: readonly RecordedLoss[];
  readonly answers: Scores;
}

/** Loads one side, measures it, and lets it go again. */
async function measure(
  path: string,
  base: string | undefined,
  planFor: (record: AdapterRecord | null) => Plan,
  context: JobContext,
  check: (plan: Plan, sets: Sets) => void = () => undefined,
): Promise<Measurement & { readonly plan: Plan }> {
  const loaded = await loadModel(path, base);
  try {
    for (const message of loaded.notes) context.emit({ type: "note", message });
    const plan = planFor(loaded.record);
    const sets = await loadSets(loaded, plan, context);
    check(plan, sets); // before anything is computed
    const evaluations = await measureLosses(loaded, sets, context);
    const recorded = await holdAgainstRecord(path, loaded, sets.losses, evaluations, (event) => context.emit(event));
    return { plan, evaluations, recorded, answers: await measureAnswers(loaded, sets, plan, context) };
  } finally {
    await loaded.model.dispose();
  }
}

interface RunOfPath {
  readonly folder: string;
  readonly record: RunRecord;
}

/** The run that a path is of; null if it is of none. */
async function runOf(path: string): Promise<RunOfPath | null> {
  const folder = dirname((await locateModel(path)).path);
  try {
    return { folder, record: await readRunRecord(folder) };
  } catch (error) {
    if (isHeirloomError(error) && error.code === "FILE_MISSING") return null;
    throw error;
  }
}

/** What is compared with: a path, or the adapter that the run continued, as it was then if it is still somewhere. @throws FILE_MISSING */
async function againstOf({ path, against }: EvaluationRequest, run: RunOfPath | null, context: JobContext): Promise<string | null> {
  if (against !== "parent") return against ?? null;
  const parent = run?.record.parent ?? null;
  if (run !== null && parent !== null) {
    const { adapter, state, found } = await findParent(run.folder, parent);
    const since = `the adapter that the run continued, ${parent.adapter}, is not what it was then`;
    if (state === "moved") context.emit({ type: "note", message: `${since}; compared with ${found ?? adapter}` });
    if (state === "changed")
      context.emit({ type: "note", message: `${since}: ${found ?? "other bytes"}, and it is compared with as it is now` });
    return adapter;
  }
  throw new HeirloomError("FILE_MISSING", "expected the adapter of a run that continued another one, found none", {
    where: path,
    hint: "name what to compare with: --against ADAPTER",
  });
}

/** The gates asked for, else those of the record, of which it is noted what cannot be judged. */
function gatesOf(request: EvaluationRequest, plan: Plan, loaded: Sets, against: string | null, context: JobContext): readonly GateConfig[] {
  const sets = { losses: [...loaded.losses.keys()], answers: [...loaded.answers.keys()] };
  if (request.gates !== undefined) {
    requireKnownSets(request.gates, sets, against !== null);
    return request.gates;
  }
  if (against === null || plan.record === null) return [];
  const { gates, notes } = recordedGates(evaluationSettings(plan.record.config.evaluation).gates, sets, loaded.aliases);
  for (const message of notes) context.emit({ type: "note", message });
  return gates;
}

/** Held-out losses and scores of an adapter or model on data files, and of what it is compared with. */
export const evaluateJob = defineJob<EvaluationRequest, TrainingEvent, EvaluationResult>(import.meta.url, async (request, context) => {
  const run = request.against === undefined ? null : await runOf(request.path);
  const against = await againstOf(request, run, context);
  let gates: readonly GateConfig[] = [];
  const after = await measure(
    request.path,
    request.base,
    (record) => planOf(request, record, run?.record.parent?.heldOut ?? {}),
    context,
    (plan, sets) => {
      gates = gatesOf(request, plan, sets, against, context);
    },
  );
  if (against !== null) context.emit({ type: "note", message: `now what it is compared with: ${against}` });
  const before = against === null ? null : await measure(against, request.base, () => after.plan, context);
  const verdicts = judgeGates(gates, { before, after });
  for (const { ok, dataset, metric, condition, before: from, after: to } of verdicts)
    context.emit({ type: "gate", step: after.plan.record?.step ?? 0, ok, dataset, metric, condition, before: from, after: to });
  return {
    path: request.path,
    against,
    evaluations: after.evaluations.map((found) => {
      const other = before?.evaluations.find(({ dataset }) => dataset === found.dataset);
      return { ...found, before: other?.loss ?? null };
    }),
    answers: after.answers.map((found) => {
      const other = before?.answers.find(({ dataset }) => dataset === found.dataset);
      return { ...found, before: other === undefined ? null : { exactMatch: other.exactMatch, f1: other.f1 } };
    }),
    gates: verdicts,
    recorded: [...after.recorded, ...(before?.recorded ?? [])],
  };
});
