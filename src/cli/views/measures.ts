import { formatCount, formatMetric, formatMetricValue } from "../../core/index.ts";
import type { EvaluationResult, TrainingResult } from "../../train/index.ts";
import { escapeText, type Paint, renderTable } from "../terminal/index.ts";

interface Scores {
  readonly exactMatch: number;
  readonly f1: number;
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

/** A line per set of answers: what it was, where that is known, and what it is. Empty without any. */
export function answersTable(
  answers: readonly { readonly dataset: string; readonly rows: number; readonly before: Scores | null; readonly after: Scores }[],
  paint: Paint,
): string {
  if (answers.length === 0) return "";
  const change = (before: number | undefined, after: number): string =>
    before === undefined ? percent(after) : `${percent(before)} → ${percent(after)}`;
  return renderTable(
    [{ title: "answers" }, { title: "rows", align: "right" }, { title: "exact match", align: "right" }, { title: "F1", align: "right" }],
    answers.map(({ dataset, rows, before, after }) => [
      dataset,
      formatCount(rows),
      change(before?.exactMatch, after.exactMatch),
      change(before?.f1, after.f1),
    ]),
    paint,
  );
}

/** A line per gate. Empty without any. */
export function gatesTable(gates: EvaluationResult["gates"], paint: Paint): string {
  if (gates.length === 0) return "";
  return renderTable(
    [{ title: "gate" }, { title: "condition" }, { title: "before", align: "right" }, { title: "after", align: "right" }, { title: "" }],
    gates.map(({ dataset, metric, condition, before, after, ok }) => [
      dataset,
      `${formatMetric(metric)} ${condition}`,
      before === null ? "" : formatMetricValue(metric, before),
      formatMetricValue(metric, after),
      ok ? { text: "passed", effect: "green" as const } : { text: "FAILED", effect: "red" as const },
    ]),
    paint,
  );
}

/** Sample prompts with what came of them before and after, one below the other. Empty without any. */
export function samplesText(samples: TrainingResult["samples"], paint: Paint): string {
  return samples
    .map(({ prompt, before, after }) => {
      // The lines of a text stand below each other, so that none is taken for one of the table's own.
      const line = (name: string, text: string): string =>
        `  ${paint.dim(name)} ${escapeText(text).replaceAll("\n", `\n${" ".repeat(9)}`)}`;
      return [
        paint.bold(escapeText(prompt).replaceAll("\n", "⏎")),
        ...(before === null ? [] : [line("before", before)]),
        line("after ", after),
      ].join("\n");
    })
    .join("\n");
}
