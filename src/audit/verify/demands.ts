import { printable } from "../../formats/index.ts";
import type { Finding, RuleReport, RuleSelection } from "./engine.ts";
import { RULES, type RuleId } from "./rules/index.ts";
import type { Part } from "./types.ts";

/** What was given on purpose, as far as it can turn out to be of no use. */
interface Given {
  readonly only?: readonly string[];
  readonly base?: string;
  readonly against?: string;
  readonly log?: string;
  readonly banner?: string;
  readonly peft?: string;
}

/** Inputs, and the parts of a subject that they are given for: one rule at least should be able to use one of these. */
const USES: readonly { readonly flag: string; readonly inputs: readonly (keyof Given)[]; readonly parts: readonly Part[] }[] = [
  { flag: "--base", inputs: ["base"], parts: ["modules", "baseWeights"] },
  { flag: "--against", inputs: ["against"], parts: ["previous", "earlier"] },
  { flag: "--log or --banner", inputs: ["log", "banner"], parts: ["banners"] },
  { flag: "--peft", inputs: ["peft"], parts: ["peftRelease"] },
];

const HINT = "give what it needs, or do not ask for it: a check that was not made must not pass";

function demand(rule: string, message: string): Finding {
  return { rule, severity: "error", message, tensors: [], hint: HINT };
}

/** Rules that were asked for by name and did not run. */
function unmetRules({ only = [] }: Given, { checked, skipped }: RuleReport): Finding[] {
  return [...new Set(only)]
    .filter((id) => !checked.includes(id))
    .map((id) => demand(id, `was asked for and did not run: ${skipped.find(({ rule }) => rule === id)?.reason ?? "unknown"}`));
}

/** Inputs that no rule could use, though some that are selected would have. */
function unusedInputs(given: Given, { checked, skipped }: RuleReport, { only, ignore }: RuleSelection): Finding[] {
  return USES.flatMap(({ flag, inputs, parts }) => {
    if (inputs.every((input) => given[input] === undefined)) return [];
    const users = (Object.keys(RULES) as RuleId[])
      .filter((id) => RULES[id].needs.some((part) => parts.includes(part)))
      .filter((id) => (only === null || only.has(id)) && !ignore.has(id));
    const [first] = users;
    // Rules that were asked for by name are told one by one.
    if (first === undefined || only !== null || users.some((id) => checked.includes(id))) return [];
    const reason = skipped.find(({ rule }) => rule === first)?.reason ?? "unknown";
    return [demand(first, `${flag} was given, and no rule could use it: ${printable(reason, 200)}`)];
  });
}

/** What was asked for and could not be done, as errors: a gate that checks nothing must not pass. */
export function unmetDemands(report: RuleReport, given: Given, selection: RuleSelection): Finding[] {
  return [...unmetRules(given, report), ...unusedInputs(given, report, selection)];
}
