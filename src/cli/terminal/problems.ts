import { type HeirloomError, InternalError, isHeirloomError, type Problem } from "../../core/index.ts";
import { escapeText } from "./escape.ts";
import type { Paint } from "./paint.ts";

/** Problems beyond this are counted, not shown: a data file can have a million of them. */
const MAX_SHOWN_PROBLEMS = 50;

/** A problem; a hint that the next one repeats is left to the last of them. */
function renderProblem({ message, where, hint }: Problem, next: Problem | undefined, paint: Paint): string {
  const place = where === undefined ? "" : `${paint.bold(escapeText(where))}: `;
  const lines = [`${paint.red("error")} ${place}${escapeText(message)}`];
  if (hint !== undefined && hint !== next?.hint) lines.push(`      ${paint.cyan("→")} ${escapeText(hint)}`);
  return lines.join("\n");
}

/** All problems of an error for people: message, where, what to do next, and at the end the code that scripts compare with. */
export function renderError(error: HeirloomError, paint: Paint): string {
  const listed = error.problems.slice(0, MAX_SHOWN_PROBLEMS);
  const shown = listed.map((problem, at) => renderProblem(problem, listed[at + 1], paint));
  const left = error.problems.length - shown.length;
  if (left > 0) shown.push(`… and ${left} more (all of them with --json)`);
  shown.push(paint.dim(`${error.code}, exit ${error.exitCode}`));
  return `${shown.join("\n")}\n`;
}

/** The JSON form of an error. */
export function errorDocument(error: HeirloomError): { error: { code: string; problems: readonly Problem[] } } {
  return { error: { code: error.code, problems: error.problems } };
}

/** Whatever was thrown, as one of our errors: what we did not foresee is a fault of ours and says so. */
export function asHeirloomError(thrown: unknown): HeirloomError {
  if (isHeirloomError(thrown)) return thrown;
  return new InternalError(thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown), { cause: thrown });
}
