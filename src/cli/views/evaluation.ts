import { formatCount } from "../../core/index.ts";
import type { EvaluationResult } from "../../train/index.ts";
import type { View } from "../command.ts";
import { escapeText, renderTable } from "../terminal/index.ts";
import { answersTable, gatesTable } from "./measures.ts";

/** A line per held-out set, per set of answers and per gate. */
export function evaluationView({ evaluations, answers, gates, against }: EvaluationResult, { paint }: View): string {
  const parts: string[] = [];
  if (evaluations.length > 0) {
    const compared = against === null ? [] : [{ title: "against", align: "right" as const }];
    const columns = [
      { title: "held-out set" },
      ...compared,
      { title: "loss", align: "right" as const },
      { title: "perplexity", align: "right" as const },
      { title: "label tokens", align: "right" as const },
    ];
    const rows = evaluations.map(({ dataset, loss, perplexity, tokens, before }) => [
      dataset,
      ...(against === null ? [] : [before?.toFixed(4) ?? ""]),
      loss.toFixed(4),
      perplexity.toFixed(2),
      formatCount(tokens),
    ]);
    parts.push(renderTable(columns, rows, paint));
  }
  const scores = answers.map(({ dataset, rows, before, exactMatch, f1 }) => ({ dataset, rows, before, after: { exactMatch, f1 } }));
  parts.push(answersTable(scores, paint), gatesTable(gates, paint));
  if (against !== null) parts.push(paint.dim(`against ${escapeText(against)}`));
  return parts.filter((part) => part !== "").join("\n\n");
}
