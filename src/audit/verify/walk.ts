import type { Finding, RuleReport } from "./engine.ts";
import { frozenMessage } from "./rules/frozen.ts";
import { RULES } from "./rules/index.ts";

/** The report of one state of a run, and what to call it. */
export interface StateReport {
  readonly label: string;
  readonly report: RuleReport;
}

/** A tensor that stayed the same over some checkpoints. */
interface Stretch {
  readonly since: string;
  readonly until: string | null;
  readonly tensors: string[];
}

/** Joins what was found between neighbours: a tensor frozen in each step since one checkpoint is frozen since then. */
function frozenStretches(states: readonly StateReport[]): Stretch[] {
  const open = new Map<string, string>();
  const stretches = new Map<string, Stretch>();
  const close = (tensor: string, since: string, until: string | null): void => {
    const key = JSON.stringify([since, until]);
    const stretch = stretches.get(key) ?? { since, until, tensors: [] };
    stretch.tensors.push(tensor);
    stretches.set(key, stretch);
  };
  for (const [i, { report }] of states.entries()) {
    const before = states[i - 1]?.label;
    if (before === undefined || !report.checked.includes(RULES.frozen.id)) continue;
    const same = new Set(report.findings.filter(({ rule }) => rule === RULES.frozen.id).flatMap(({ tensors }) => tensors));
    for (const [tensor, since] of open) {
      if (same.has(tensor)) continue;
      close(tensor, since, before);
      open.delete(tensor);
    }
    for (const tensor of same) if (!open.has(tensor)) open.set(tensor, before);
  }
  for (const [tensor, since] of open) close(tensor, since, null);
  return [...stretches.values()];
}

/** `checkpoint-10`, or `checkpoint-10 to checkpoint-30` for neighbours, or all of them. */
function labelsText(labels: readonly string[], all: readonly string[]): string {
  const [first = "", last = first] = [labels[0], labels.at(-1)];
  if (labels.length === 1) return first;
  const isUnbroken = all.indexOf(last) - all.indexOf(first) + 1 === labels.length;
  return isUnbroken ? `${first} to ${last}` : labels.join(", ");
}

function mergedFindings(states: readonly StateReport[]): Finding[] {
  const all = states.map(({ label }) => label);
  const groups = new Map<string, { finding: Finding; labels: string[] }>();
  for (const { label, report } of states) {
    for (const finding of report.findings) {
      if (finding.rule === RULES.frozen.id) continue;
      const key = JSON.stringify([finding.rule, finding.message, finding.tensors]);
      const group = groups.get(key) ?? { finding, labels: [] };
      group.labels.push(label);
      groups.set(key, group);
    }
  }
  return [...groups.values()].map(({ finding, labels }) => {
    // It is about the run, whichever state it was told with.
    if (finding.rule === RULES["final-state-missing"].id) return finding;
    return { ...finding, message: `${labelsText(labels, all)}: ${finding.message}` };
  });
}

/** One report of the states of a run in order: equal findings once, with where they hold. */
export function mergeReports(states: readonly StateReport[]): RuleReport {
  const checked = Object.keys(RULES).filter((id) => states.some(({ report }) => report.checked.includes(id)));
  const last = states.at(-1)?.report.skipped ?? [];
  const skipped = last.filter(({ rule }) => !checked.includes(rule));
  const { id, severity, remedy } = RULES.frozen;
  const frozen = frozenStretches(states).map(({ since, until, tensors }) => ({
    rule: id,
    severity,
    message: frozenMessage(tensors, since, until, Number.NaN),
    tensors,
    hint: remedy,
  }));
  const order = Object.keys(RULES);
  const findings = [...frozen, ...mergedFindings(states)].sort((a, b) => order.indexOf(a.rule) - order.indexOf(b.rule));
  return { checked, skipped, findings };
}
