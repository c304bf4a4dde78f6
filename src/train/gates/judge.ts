import { type GateConfig, gateFaults, gateSets, isAnswerMetric, type MeasuredSets } from "../../config/index.ts";
import { formatMetric, formatMetricValue, HeirloomError, type Problem, ProblemList } from "../../core/index.ts";
import type { AnswerRecord, EvaluationRecord, GateRecord } from "../../runs/index.ts";

/** What was measured at one time. */
export interface Measured {
  readonly evaluations: readonly Pick<EvaluationRecord, "dataset" | "loss">[];
  readonly answers: readonly Pick<AnswerRecord, "dataset" | "exactMatch" | "f1">[];
}

/** What a gate compares; `before` is null where there is only one measurement. */
export interface BeforeAndAfter {
  readonly before: Measured | null;
  readonly after: Measured;
}

function measuredValue({ evaluations, answers }: Measured, metric: GateConfig["metric"], dataset: string): number | undefined {
  if (metric === "exactMatch" || metric === "f1") return answers.find((record) => record.dataset === dataset)?.[metric];
  const loss = evaluations.find((record) => record.dataset === dataset)?.loss;
  return metric === "perplexity" && loss !== undefined ? Math.exp(loss) : loss;
}

/** `2 %`; a share is given as a number of the configuration, so its digits are few. */
function percent(share: number): string {
  return `${Number((share * 100).toPrecision(6))} %`;
}

interface Condition {
  readonly text: string;
  readonly limit: number;
  readonly ok: boolean;
  readonly isRelative: boolean;
}

/** Every condition of a gate, judged. `before` is NaN where there is none; only relative conditions look at it. */
function conditionsOf(gate: GateConfig, before: number, after: number): Condition[] {
  const found: Condition[] = [];
  const add = (
    value: number | null,
    isRelative: boolean,
    text: (value: number) => string,
    judge: (value: number) => [limit: number, ok: boolean],
  ) => {
    if (value === null) return;
    const [limit, ok] = judge(value);
    found.push({ text: text(value), limit, ok, isRelative });
  };
  /** As it was given, in the unit that the metric has in tables. */
  const bound = (value: number): string => (isAnswerMetric(gate.metric) ? percent(value) : String(value));
  const by = (share: number, words: string): string => (share === 0 ? "" : ` by ${words} ${percent(share)}`);
  add(
    gate.mustFall,
    true,
    (share) => `must fall${by(share, "at least")}`,
    (share) => {
      const limit = before * (1 - share);
      return [limit, share === 0 ? after < before : after <= limit];
    },
  );
  add(
    gate.mustRise,
    true,
    (share) => `must rise${by(share, "at least")}`,
    (share) => {
      const limit = before * (1 + share);
      return [limit, share === 0 ? after > before : after >= limit];
    },
  );
  add(
    gate.mustNotRise,
    true,
    (share) => `must not rise${by(share, "more than")}`,
    (share) => [before * (1 + share), after <= before * (1 + share)],
  );
  add(
    gate.mustNotFall,
    true,
    (share) => `must not fall${by(share, "more than")}`,
    (share) => [before * (1 - share), after >= before * (1 - share)],
  );
  add(
    gate.atMost,
    false,
    (value) => `must be at most ${bound(value)}`,
    (value) => [value, after <= value],
  );
  add(
    gate.atLeast,
    false,
    (value) => `must be at least ${bound(value)}`,
    (value) => [value, after >= value],
  );
  return found;
}

/**
 * Refuses gates on sets that are not evaluated, and gates that need a value before where there is none.
 *
 * @param comparing whether there is a measurement before
 * @throws CONFIG_INVALID, all at once
 */
export function requireKnownSets(gates: readonly GateConfig[], sets: MeasuredSets, comparing = true): void {
  const problems = new ProblemList();
  for (const { index, message, hint } of gateFaults(gates, sets))
    problems.add("CONFIG_INVALID", message, { where: `evaluation.gates[${index}]`, ...(hint === undefined ? {} : { hint }) });
  for (const [index, gate] of gates.entries()) {
    if (comparing || !conditionsOf(gate, Number.NaN, Number.NaN).some(({ isRelative }) => isRelative)) continue;
    problems.add("CONFIG_INVALID", "the gate compares with a value before, and there is none", {
      where: `evaluation.gates[${index}]`,
      hint: "name what to compare with: --against ADAPTER, or --against parent",
    });
  }
  problems.throwIfAny();
}

/** Judges every condition of every gate on every set that it is about. */
export function judgeGates(gates: readonly GateConfig[], { before, after }: BeforeAndAfter): GateRecord[] {
  const sets = {
    losses: after.evaluations.map(({ dataset }) => dataset),
    answers: after.answers.map(({ dataset }) => dataset),
  };
  return gates.flatMap((gate) =>
    gateSets(gate, sets).flatMap((dataset) => {
      const now = measuredValue(after, gate.metric, dataset) ?? Number.NaN;
      const then = before === null ? undefined : measuredValue(before, gate.metric, dataset);
      return conditionsOf(gate, then ?? Number.NaN, now).map(
        ({ text, limit, ok }): GateRecord => ({
          dataset,
          metric: gate.metric,
          condition: text,
          before: then ?? null,
          after: now,
          limit,
          ok,
        }),
      );
    }),
  );
}

/** The gates that failed as one error, a problem each; null if none did. */
export function gateError(
  gates: readonly GateRecord[],
  facts: Pick<Problem, "hint"> & { readonly details?: Problem["details"] } = {},
): HeirloomError | null {
  const problems = gates
    .filter(({ ok }) => !ok)
    .map((gate): Problem => {
      const { dataset, metric, condition, before, after, limit } = gate;
      const shown = (value: number): string => formatMetricValue(metric, value);
      const from = before === null ? "" : ` from ${shown(before)}`;
      const expected = Number.isNaN(limit)
        ? "expected a value before to compare with, found none"
        : `expected it${from} to end at ${shown(limit)} or better, found ${shown(after)}`;
      const message = `${formatMetric(metric)} ${condition}: ${expected}`;
      return { code: "GATE_FAILED", message, where: dataset, ...facts, details: { ...gate, ...facts.details } };
    });
  const [first, ...rest] = problems;
  return first === undefined ? null : HeirloomError.of([first, ...rest]);
}
