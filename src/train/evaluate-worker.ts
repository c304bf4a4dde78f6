import { dirname } from "node:path";
import { evaluationSettings, type GateConfig, gateFaults } from "../config/index.ts";
import { HeirloomError, isHeirloomError } from "../core/index.ts";
import { defineJob } from "../core/node/index.ts";
import { loadDataset } from "../data/index.ts";
import { locateModel } from "../folders/index.ts";
import { type LoadedModel, loadAnswers, loadModel, scoreAnswers } from "../generate/index.ts";
import { type AdapterRecord, readRunRecord } from "../runs/index.ts";
import type { EvaluationRequest, EvaluationResult } from "./api.ts";
import { type EvaluationBatches, evaluateDataset } from "./evaluate.ts";
import type { TrainingEvent } from "./events.ts";
import { judgeGates, requireKnownSets } from "./gates/index.ts";

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
function planOf(request: EvaluationRequest, record: AdapterRecord | null): Plan {
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

async function measureLosses({ model, tokenizer, record: own }: LoadedModel, plan: Plan, context: JobContext): Promise<Losses> {
  const { record, sets, batches } = plan;
  const { onTooLong = "error", template = null } = record?.config.data ?? {};
  const found: Losses = [];
  for (const [dataset, files] of Object.entries(sets)) {
    const options = { files, maxLength: batches.maxLength, onTooLong, template, now: dateOf(record) };
    const held = await loadDataset(options, tokenizer);
    const before = own?.evaluations.find((evaluation) => evaluation.dataset === dataset);
    if (plan.isRecorded && own === record && before !== undefined && before.fingerprint !== held.fingerprint)
      context.emit({ type: "note", message: `the rows of "${dataset}" are not those that the run was evaluated on` });
    if (context.stopRequested()) throw new HeirloomError("INTERRUPTED", `stopped before the data set "${dataset}"`);
    const padId = tokenizer.padId ?? 0;
    const { loss, perplexity, labelTokens } = await evaluateDataset(model, held, { ...batches, padId }, `held-out set "${dataset}"`);
    found.push({ dataset, loss, perplexity, tokens: labelTokens });
    context.emit({ type: "evaluation", step: own?.step ?? 0, dataset, loss, perplexity, tokens: labelTokens });
  }
  return found;
}

async function measureAnswers({ model, tokenizer, record: own }: LoadedModel, plan: Plan, context: JobContext): Promise<Scores> {
  const found: Scores = [];
  const template = plan.record?.config.data.template ?? null;
  for (const [dataset, files] of Object.entries(plan.answers)) {
    const set = await loadAnswers(files, tokenizer, { maxPositions: model.spec.maxPositions, now: dateOf(plan.record), template });
    const scores = await scoreAnswers(model, tokenizer, set, { maxTokens: plan.answerTokens, stopRequested: context.stopRequested });
    found.push({ dataset, ...scores });
    context.emit({ type: "answers", step: own?.step ?? 0, dataset, ...scores });
  }
  return found;
}

interface Measurement {
  readonly evaluations: Losses;
  readonly answers: Scores;
}

/** Loads one side, measures it, and lets it go again. */
async function measure(
  path: string,
  base: string | undefined,
  planFor: (record: AdapterRecord | null) => Plan,
  context: JobContext,
): Promise<Measurement & { readonly plan: Plan }> {
  const loaded = await loadModel(path, base);
  try {
    for (const message of loaded.notes) context.emit({ type: "note", message });
    const plan = planFor(loaded.record);
    return { plan, evaluations: await measureLosses(loaded, plan, context), answers: await measureAnswers(loaded, plan, context) };
  } finally {
    await loaded.model.dispose();
  }
}

/** The adapter that the run of a path continued. @throws FILE_MISSING */
async function parentOf(path: string): Promise<string> {
  const located = await locateModel(path);
  const parent = await readRunRecord(dirname(located.path)).then(
    (record) => record.parent,
    (error: unknown) => {
      if (isHeirloomError(error) && error.code === "FILE_MISSING") return null;
      throw error;
    },
  );
  if (parent !== null) return parent.adapter;
  throw new HeirloomError("FILE_MISSING", "expected the adapter of a run that continued another one, found none", {
    where: path,
    hint: "name what to compare with: --against ADAPTER",
  });
}

/** The gates asked for, else those of the record that the evaluated sets have to do with. */
function gatesOf(request: EvaluationRequest, plan: Plan, against: string | null): readonly GateConfig[] {
  const sets = { losses: Object.keys(plan.sets), answers: Object.keys(plan.answers) };
  if (request.gates !== undefined) {
    requireKnownSets(request.gates, sets, against !== null);
    return request.gates;
  }
  if (against === null || plan.record === null) return [];
  return evaluationSettings(plan.record.config.evaluation).gates.filter((gate) => gateFaults([gate], sets).length === 0);
}

/** Held-out losses and scores of an adapter or model on data files, and of what it is compared with. */
export const evaluateJob = defineJob<EvaluationRequest, TrainingEvent, EvaluationResult>(import.meta.url, async (request, context) => {
  const against = request.against === "parent" ? await parentOf(request.path) : (request.against ?? null);
  let gates: readonly GateConfig[] = [];
  const after = await measure(
    request.path,
    request.base,
    (record) => {
      const plan = planOf(request, record);
      gates = gatesOf(request, plan, against); // before anything is computed
      return plan;
    },
    context,
  );
  if (against !== null) context.emit({ type: "note", message: `now what it is compared with: ${against}` });
  const before = against === null ? null : await measure(against, request.base, () => after.plan, context);
  const verdicts = judgeGates(gates, { before, after });
  for (const { ok, dataset, metric, condition, before: from, after: to } of verdicts)
    context.emit({ type: "gate", step: after.plan.record?.step ?? 0, ok, dataset, metric, condition, before: from, after: to });
  return {
    path: request.path,
    against,
    evaluations: after.evaluations.map((found, i) => ({ ...found, before: before?.evaluations[i]?.loss ?? null })),
    answers: after.answers.map((found, i) => {
      const other = before?.answers[i];
      return { ...found, before: other === undefined ? null : { exactMatch: other.exactMatch, f1: other.f1 } };
    }),
    gates: verdicts,
  };
});
