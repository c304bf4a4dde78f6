import { formatCount, type HeirloomError, InternalError, isHeirloomError, listNames, type Problem } from "../../core/index.ts";
import { escapeText } from "./escape.ts";
import type { Paint } from "./paint.ts";

/** Problems beyond this are counted, not shown: a data file can have a million of them. */
const MAX_SHOWN_PROBLEMS = 50;

/** Places of one message that are named; the others are counted. */
const MAX_PLACES = 5;

/** Problems of one message with all their places, in order of the first. */
interface SameProblems {
  readonly problem: Problem;
  readonly places: (string | undefined)[];
}

function grouped(problems: readonly Problem[]): SameProblems[] {
  const groups = new Map<string, SameProblems>();
  for (const problem of problems) {
    const { code, message, hint, where } = problem;
    const key = JSON.stringify([code, message, hint]);
    const group = groups.get(key) ?? { problem, places: [] };
    group.places.push(where);
    groups.set(key, group);
  }
  return [...groups.values()];
}

/** A problem with its places; a hint that the next one repeats is left to the last of them. */
function renderProblem({ problem, places }: SameProblems, next: SameProblems | undefined, paint: Paint): string {
  const { message, where, hint } = problem;
  const place = where === undefined || places.length > 1 ? "" : `${paint.bold(escapeText(where))}: `;
  const lines = [
    `${paint.red("error")} ${place}${escapeText(message)}${places.length > 1 ? ` (${formatCount(places.length)} times)` : ""}`,
  ];
  const named = places.flatMap((each) => (each === undefined ? [] : [escapeText(each)]));
  if (places.length > 1 && named.length > 0) lines.push(`      at ${listNames(named, MAX_PLACES)}`);
  if (hint !== undefined && hint !== next?.problem.hint) lines.push(`      ${paint.cyan("→")} ${escapeText(hint)}`);
  return lines.join("\n");
}

/** All problems of an error for people: message, where, what to do next, and at the end the code that scripts compare with. */
export function renderError(error: HeirloomError, paint: Paint): string {
  const groups = grouped(error.problems);
  const listed = groups.slice(0, MAX_SHOWN_PROBLEMS);
  const shown = listed.map((group, at) => renderProblem(group, listed[at + 1], paint));
  const left = groups.slice(MAX_SHOWN_PROBLEMS).reduce((sum, { places }) => sum + places.length, 0);
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
