// `--only SET[/CASE][:CHECK]`: which checks are run.
import { HeirloomError, nearestName } from "../../src/core/index.ts";
import { CHECK_KINDS, type VectorSet } from "./check.ts";

interface Selector {
  readonly text: string;
  readonly set: string;
  readonly case: string | null;
  readonly kind: string | null;
}

function parse(text: string): Selector {
  const [, set = "", name, kind] = /^([^/:]+)(?:\/([^:]+))?(?::(.+))?$/.exec(text) ?? [];
  if (set === "") throw usage(`expected SET[/CASE][:CHECK] after --only, found "${text}"`);
  return { text, set, case: name ?? null, kind: kind ?? null };
}

function usage(message: string, hint?: string): HeirloomError {
  return new HeirloomError("USAGE", message, hint === undefined ? {} : { hint });
}

function suggest(text: string, names: readonly string[]): string {
  const near = nearestName(text, names);
  return near === undefined ? `there are: ${names.join(", ")}` : `did you mean "${near}"?`;
}

/** Refuses a selector that no check fits, naming what there is. */
function requireMatch(selector: Selector, sets: readonly VectorSet[]): void {
  const set = sets.find(({ name }) => name === selector.set);
  const names = sets.map(({ name }) => name);
  if (set === undefined) throw usage(`--only ${selector.text}: no set "${selector.set}" was found`, suggest(selector.set, names));
  const cases = [...new Set(set.checks.map((check) => check.case))];
  if (selector.case !== null && !cases.includes(selector.case))
    throw usage(`--only ${selector.text}: ${set.name} has no case "${selector.case}"`, suggest(selector.case, cases));
  if (selector.kind !== null && !CHECK_KINDS.some((kind) => kind === selector.kind))
    throw usage(`--only ${selector.text}: there is no check "${selector.kind}"`, suggest(selector.kind, CHECK_KINDS));
}

/** The sets with the checks that the selectors name; all without selectors. */
export function select(sets: readonly VectorSet[], only: readonly string[]): VectorSet[] {
  if (only.length === 0) return [...sets];
  const selectors = only
    .flatMap((text) => text.split(","))
    .filter((text) => text !== "")
    .map(parse);
  for (const selector of selectors) requireMatch(selector, sets);
  const chosen = sets.map((set) => ({
    ...set,
    checks: set.checks.filter((check) =>
      selectors.some(
        (selector) =>
          selector.set === set.name &&
          (selector.case === null || selector.case === check.case) &&
          (selector.kind === null || selector.kind === check.kind),
      ),
    ),
  }));
  return chosen.filter(({ checks }) => checks.length > 0);
}
