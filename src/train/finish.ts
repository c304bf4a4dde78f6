import { type Ledger, ledgerCounts, peftBanner } from "../ledger/index.ts";
import {
  type AnswerRecord,
  type GateRecord,
  type ParentRecord,
  type ProfileSummary,
  type RunMeasures,
  writeRunResult,
} from "../runs/index.ts";
import type { TrainingResult } from "./api.ts";
import { gateError, judgeGates } from "./gates/index.ts";
import type { LiveRun, LoopContext, LoopOutcome, MeasuredAt } from "./live-run.ts";

/** A run whose updates are made. */
export interface EndedRun {
  readonly id: string;
  /** Path of the run folder. */
  readonly folder: string;
  readonly run: LiveRun;
  readonly observed: Ledger;
  /** The adapter that was continued; null for a run of its own. */
  readonly parent: ParentRecord | null;
  /** When its process began, by `performance.now()`. */
  readonly began: number;
  /** Where its updates' time went; null if nobody asked. */
  readonly profile: ProfileSummary | null;
}

/** Of what was measured before, that which had the rows of what is measured now: evaluation may change on resume. */
function comparable(before: MeasuredAt, now: MeasuredAt): MeasuredAt {
  const measuredNow =
    (records: readonly { readonly dataset: string; readonly fingerprint: string }[]) =>
    ({ dataset, fingerprint }: { readonly dataset: string; readonly fingerprint: string }): boolean =>
      records.some((record) => record.dataset === dataset && record.fingerprint === fingerprint);
  return {
    evaluations: before.evaluations.filter(measuredNow(now.evaluations)),
    answers: before.answers.filter(measuredNow(now.answers)),
  };
}

/** What was measured before beside what was measured after, set by set; null where it was not. */
function measuresOf(
  { last, samples, stopped, kept }: LoopOutcome,
  first: MeasuredAt,
  gates: readonly GateRecord[],
  current: string | null,
): RunMeasures {
  const evaluations = last.evaluations.map(({ dataset, loss }) => ({
    dataset,
    before: first.evaluations.find((record) => record.dataset === dataset)?.loss ?? null,
    after: loss,
  }));
  const scores = ({ exactMatch, f1 }: AnswerRecord) => ({ exactMatch, f1 });
  const answers = last.answers.map((after) => {
    const before = first.answers.find(({ dataset }) => dataset === after.dataset);
    return { dataset: after.dataset, rows: after.rows, before: before === undefined ? null : scores(before), after: scores(after) };
  });
  return { evaluations, answers, samples, gates, stopped, keptStep: kept, current };
}

/**
 * Judges the gates, and keeps what the run made: as its adapter, or, if a gate failed, set apart, so that nothing
 * takes it for the adapter to go on with.
 *
 * @throws GATE_FAILED naming every gate, where the weights are, and which adapter stays current
 */
export async function finishRun(ended: EndedRun, outcome: LoopOutcome, context: LoopContext): Promise<TrainingResult> {
  const { id, folder, run, observed, parent, began } = ended;
  const profile = ended.profile === null ? {} : { profile: ended.profile };
  const first = comparable(outcome.first, outcome.last);
  const gates = judgeGates(run.prepared.gates, { before: first, after: outcome.last });
  for (const { ok, dataset, metric, condition, before, after } of gates)
    await context.report({ type: "gate", step: outcome.kept, ok, dataset, metric, condition, before, after });
  const isRejected = gates.some(({ ok }) => !ok);
  const output = await run.keeper.final(outcome.kept, outcome.last.evaluations, isRejected);
  const current = isRejected ? (parent?.adapter ?? null) : output;
  const measures = measuresOf(outcome, first, gates, current);
  const { made, loss, tokens } = outcome;
  await writeRunResult(folder, { id, output, steps: made, loss, measures, ...profile });
  const against = current === null ? "" : ` --against ${current}`;
  const failure = gateError(gates, {
    hint: `the weights are set apart in ${output}, ${current === null ? "and no adapter is current" : `and ${current} stays current`}; look at them: heirloom eval ${output}${against}`,
    details: { run: folder, rejected: output, current },
  });
  if (failure !== null) throw failure;
  const seconds = (performance.now() - began) / 1000;
  const adapter = run.prepared.adapter === null ? null : output;
  await context.report({ type: "finished", step: made, steps: run.steps, seconds, tokens, run: folder, adapter });
  const counts = ledgerCounts(observed);
  return { run: folder, adapter, banner: peftBanner(counts), counts, steps: made, tokens, seconds, loss, ...measures, ...profile };
}
