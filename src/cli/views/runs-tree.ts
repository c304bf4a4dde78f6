import type { RunForest, RunNode } from "../../runs/index.ts";
import type { View } from "../command.ts";
import { type Cell, renderTable } from "../terminal/index.ts";
import { evaluationText, noRunsText, stateCell, stepsText } from "./run-words.ts";

/** What `runs tree` gives back. */
export interface RunTree extends RunForest {
  readonly dir: string;
}

function rowsOf({ run, children }: RunNode, level: number): Cell[][] {
  const name = `${"  ".repeat(level)}${level === 0 ? "" : "└ "}${run.name}`;
  const own: Cell[] = [name, stateCell(run), stepsText(run), evaluationText(run.evaluations)];
  return [own, ...children.flatMap((child) => rowsOf(child, level + 1))];
}

/** What runs tree prints: each run below the one whose adapter it continued. */
export function runsTreeView({ dir, roots, outside }: RunTree, { paint }: View): string {
  const foreign = outside.flatMap(({ parent, children }) => {
    const heading: Cell[] = [{ text: parent, effect: "dim" }, { text: "not in this folder", effect: "dim" }, "", ""];
    return [heading, ...children.flatMap((child) => rowsOf(child, 1))];
  });
  const rows = [...roots.flatMap((root) => rowsOf(root, 0)), ...foreign];
  if (rows.length === 0) return noRunsText(dir);
  return renderTable([{ title: "run" }, { title: "state" }, { title: "updates", align: "right" }, { title: "held-out loss" }], rows, paint);
}
