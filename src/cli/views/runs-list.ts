import type { RunSummary } from "../../runs/index.ts";
import type { View } from "../command.ts";
import { escapeText, renderTable } from "../terminal/index.ts";
import { evaluationText, lossText, noRunsText, stateCell, stepsText } from "./run-words.ts";

/** What `runs list` gives back. */
export interface RunList {
  readonly dir: string;
  /** Whether only runs in certain states were asked for. */
  readonly isFiltered: boolean;
  /** Runs of the store that fit the filters, before the limit. */
  readonly total: number;
  readonly runs: readonly RunSummary[];
}

/** What runs list prints: a table, and what of it could not be read. */
export function runsListView({ dir, isFiltered, total, runs }: RunList, { paint }: View): string {
  if (runs.length === 0) return isFiltered ? `no such runs in ${escapeText(dir)}` : noRunsText(dir);
  const table = renderTable(
    [
      { title: "run" },
      { title: "kind" },
      { title: "state" },
      { title: "updates", align: "right" },
      { title: "loss", align: "right" },
      { title: "held-out loss" },
      { title: "adapter" },
      { title: "continues" },
    ],
    runs.map((run) => [
      run.name,
      run.kind ?? "",
      stateCell(run),
      stepsText(run),
      lossText(run.loss),
      evaluationText(run.evaluations),
      run.output ?? (run.state === "finished" ? { text: "missing", effect: "red" } : ""),
      run.parent ?? "",
    ]),
    paint,
  );
  const notes = runs.flatMap(({ name, notes: own }) => own.map((note) => `${paint.yellow("note")} ${escapeText(`${name}: ${note}`)}`));
  const left = total > runs.length ? [paint.dim(`… and ${total - runs.length} more`)] : [];
  return [table, ...left, ...notes].join("\n");
}
