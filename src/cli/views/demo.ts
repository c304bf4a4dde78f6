import { formatCount, formatSeconds } from "../../core/index.ts";
import type { DemoResult } from "../../train/index.ts";
import type { View } from "../command.ts";
import { type Cell, escapeText, renderTable } from "../terminal/index.ts";

function loss(value: number | null): string {
  return value === null ? "–" : value.toFixed(4);
}

/** What a continuation on other data costs on the old: told, or the table reads as if nothing were lost. */
function forgetting(stages: DemoResult["stages"]): string[] {
  const continued = stages.find(({ name }) => name === "continue");
  return (continued?.evaluations ?? []).flatMap(({ dataset, before, after }) =>
    before === null || after <= before
      ? []
      : [
          `While it continued on other data, the held-out loss on ${dataset} rose from ${before.toFixed(4)} to ${after.toFixed(4)}: an adapter forgets what it no longer sees. Keep some of the old rows in data.train where that matters.`,
        ],
  );
}

/** The demo's stages, and whether the story held. */
export function demoView({ ok, stages }: DemoResult, { paint }: View): string {
  const table = renderTable(
    [
      { title: "stage" },
      { title: "trainable", align: "right" },
      { title: "of", align: "right" },
      { title: "%", align: "right" },
      { title: "eval before", align: "right" },
      { title: "after", align: "right" },
      { title: "time", align: "right" },
      { title: "outcome" },
    ],
    stages.map((stage, at) => {
      const outcome: Cell = stage.refused ? { text: `refused: ${stage.code ?? ""}`, effect: "yellow" } : { text: "done", effect: "green" };
      return [
        `${at + 1} ${stage.name}`,
        formatCount(stage.trainable),
        formatCount(stage.all),
        stage.percent.toFixed(4),
        loss(stage.evalLossBefore),
        loss(stage.evalLossAfter),
        formatSeconds(stage.seconds),
        outcome,
      ];
    }),
    paint,
  );
  const tries = stages.map(({ what }, at) => paint.dim(`${at + 1}  ${escapeText(what)}`)).join("\n");
  const verdict = ok
    ? paint.green("The adapter continued as exactly what it was, and the frozen load was refused.")
    : paint.red("The demo did not go as it must; see the stages above.");
  return [table, tries, ...forgetting(stages).map(escapeText), verdict].filter((part) => part !== "").join("\n\n");
}
