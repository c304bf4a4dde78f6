import type { LossChange, RunState, RunSummary } from "../../runs/index.ts";
import { type Cell, escapeName } from "../terminal/index.ts";

/** A loss in five digits, as progress shows them in four: enough to see runs part. */
export function lossText(loss: number | null): string {
  return loss === null ? "" : loss.toFixed(4);
}

const EFFECTS = {
  running: "cyan",
  finished: "green",
  failed: "red",
  interrupted: "yellow",
  dead: "red",
  unreadable: "red",
} as const satisfies Record<RunState, string>;

/** A run's state in its colour, with the code of what ended it. */
export function stateCell({ state, failure }: RunSummary): Cell {
  const code = failure === null || state === "interrupted" || state === "unreadable" ? "" : ` (${failure})`;
  return { text: `${state}${code}`, effect: EFFECTS[state] };
}

/** `12/100` */
export function stepsText({ step, steps }: RunSummary): string {
  return steps === null ? String(step) : `${step}/${steps}`;
}

/** `2.3456 → 1.2345`, or one number where there was one evaluation; with its name if there are several sets. */
export function evaluationText(evaluations: readonly LossChange[]): string {
  const pair = ({ before, after }: LossChange): string => (after === null ? lossText(before) : `${lossText(before)} → ${lossText(after)}`);
  const [first, ...more] = evaluations;
  if (first === undefined) return "";
  return more.length === 0 ? pair(first) : evaluations.map((change) => `${change.dataset} ${pair(change)}`).join(", ");
}

/** What stands in the place of a list without a row. */
export function noRunsText(dir: string): string {
  return `no runs yet in ${escapeName(dir)}; \`heirloom train\` makes the first, --dir names another folder`;
}
