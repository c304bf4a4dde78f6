import { formatCount } from "../../core/index.ts";
import type { EvaluationResult } from "../../train/index.ts";
import type { View } from "../command.ts";
import { renderTable } from "../terminal/index.ts";

/** A line per held-out set. */
export function evaluationView({ evaluations }: EvaluationResult, { paint }: View): string {
  return renderTable(
    [
      { title: "held-out set" },
      { title: "loss", align: "right" },
      { title: "perplexity", align: "right" },
      { title: "label tokens", align: "right" },
    ],
    evaluations.map(({ dataset, loss, perplexity, tokens }) => [dataset, loss.toFixed(4), perplexity.toFixed(2), formatCount(tokens)]),
    paint,
  );
}
