import { formatCount, formatSeconds } from "../../core/index.ts";
import type { DemoResult } from "../../train/index.ts";
import type { View } from "../command.ts";
import { type Cell, renderTable } from "../terminal/index.ts";

function loss(value: number | null): string {
  return value === null ? "–" : value.toFixed(4);
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
    stages.map((stage) => {
      const outcome: Cell = stage.refused ? { text: `refused: ${stage.code ?? ""}`, effect: "yellow" } : { text: "done", effect: "green" };
      return [
        stage.name,
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
  return `${table}\n\n${ok ? paint.green("The adapter continued as exactly what it was, and the frozen load was refused.") : paint.red("The demo did not go as it must; see the stages above.")}`;
}
