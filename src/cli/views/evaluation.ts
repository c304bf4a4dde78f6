import { formatCount } from "../../core/index.ts";
import type { EvaluationResult } from "../../train/index.ts";
import type { View } from "../command.ts";
import { escapeText, type Paint, renderTable } from "../terminal/index.ts";
import { answersTable, gatesTable } from "./measures.ts";

/** A line per loss of which the record holds one: whether it is that. Empty without any. */
function recordedTable(recorded: EvaluationResult["recorded"], paint: Paint): string {
  if (recorded.length === 0) return "";
  const verdict = ({ ok, expected, found }: EvaluationResult["recorded"][number]) => {
    if (!ok) return { text: "DIFFERENT", effect: "red" as const };
    return { text: expected === found ? "equal, to the bit" : "equal", effect: "green" as const };
  };
  const rows = recorded.map((loss) => {
    const { dataset, expected, found, exactly, differing } = loss;
    const other = exactly ? "" : `within 1e-5: other ${differing.join(", ")}`;
    return [dataset, expected.toPrecision(9), found.toPrecision(9), verdict(loss), other];
  });
  const titles = [{ title: "recorded loss" }, { title: "then", align: "right" as const }, { title: "now", align: "right" as const }];
  const table = renderTable([...titles, { title: "" }, { title: "" }], rows, paint);
  const changed = [...new Set(recorded.filter(({ ok }) => !ok).map(({ path }) => escapeText(path)))];
  const advice = changed.map((path) => `the weights are not those that were evaluated; compare the files: heirloom verify ${path}`);
  return [table, ...advice].join("\n");
}

/** A line per held-out set, per recorded loss, per set of answers and per gate. */
export function evaluationView({ evaluations, answers, gates, against, recorded }: EvaluationResult, { paint }: View): string {
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
  parts.push(recordedTable(recorded, paint), answersTable(scores, paint), gatesTable(gates, paint));
  if (against !== null) parts.push(paint.dim(`against ${escapeText(against)}`));
  return parts.filter((part) => part !== "").join("\n\n");
}
