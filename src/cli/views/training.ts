import { formatCount, formatSeconds } from "../../core/index.ts";
import type { TrainingResult } from "../../train/index.ts";
import type { View } from "../command.ts";
import { type Paint, renderFacts, renderTable } from "../terminal/index.ts";
import { answersTable, gatesTable, samplesText } from "./measures.ts";
import { profileView } from "./profile.ts";

/** Where early stopping ended the updates, or weights other than the last are kept. */
function stoppedFact({ stopped, keptStep, steps }: TrainingResult): [string, string][] {
  const kept = keptStep === steps ? "" : `the weights are those of update ${formatCount(keptStep)}, where the held-out loss was lowest`;
  if (stopped !== null)
    return [
      ["stopped early", `after ${formatCount(stopped.step)} of ${formatCount(stopped.steps)} updates${kept === "" ? "" : `; ${kept}`}`],
    ];
  return kept === "" ? [] : [["kept", kept]];
}

/** What train, continue and resume print at the end. */
export function trainingView(result: TrainingResult, view: View): string {
  const { paint } = view;
  const facts = renderFacts(
    [
      ["run", result.run],
      ["adapter", result.adapter ?? "none (all weights were trained)"],
      ["trained", result.banner],
      ...stoppedFact(result),
      [
        "updates",
        `${formatCount(result.steps)} over ${formatCount(result.tokens)} tokens in ${formatSeconds(result.seconds)}; ${result.loss === null ? "none was left to make" : `last loss ${result.loss.toFixed(4)}`}`,
      ],
    ],
    paint,
  );
  // Weights that a gate rejected are not what the run's name stands for.
  const isPassed = result.gates.every(({ ok }) => ok);
  const next = isPassed
    ? paint.dim(`use it: heirloom generate ${result.run} --prompt "…"; trained on chats: heirloom chat ${result.run}`)
    : "";
  const profile = result.profile === undefined ? "" : profileView(result.profile, view);
  return [facts, measuresText(result, paint), profile, next].filter((part) => part !== "").join("\n\n");
}

/** What was measured before and after: losses, answers, gates, samples. Empty without any. */
export function measuresText(
  { evaluations, answers, gates, samples }: Pick<TrainingResult, "evaluations" | "answers" | "gates" | "samples">,
  paint: Paint,
): string {
  const parts = [lossTable(evaluations, paint), answersTable(answers, paint), gatesTable(gates, paint), samplesText(samples, paint)];
  return parts.filter((part) => part !== "").join("\n\n");
}

/** A line per held-out set: its loss before and after. Empty without any. */
function lossTable(evaluations: TrainingResult["evaluations"], paint: Paint): string {
  if (evaluations.length === 0) return "";
  return renderTable(
    [
      { title: "held-out set" },
      { title: "loss before", align: "right" },
      { title: "after", align: "right" },
      { title: "change", align: "right" },
    ],
    evaluations.map(({ dataset, before, after }) => {
      if (before === null) return [dataset, "", after.toFixed(4), ""];
      const change = before === 0 ? 0 : (100 * (after - before)) / before;
      return [
        dataset,
        before.toFixed(4),
        after.toFixed(4),
        { text: `${change > 0 ? "+" : ""}${change.toFixed(1)} %`, effect: change > 0 ? ("yellow" as const) : ("green" as const) },
      ];
    }),
    paint,
  );
}
