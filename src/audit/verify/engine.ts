import { isHeirloomError } from "../../core/index.ts";
import { printable } from "../../formats/index.ts";
import { ALL_RULES, RULES, type RuleId } from "./rules/index.ts";
import type { AuditSubject, Rule, Severity } from "./types.ts";

/** One thing that a rule found. */
export interface Finding {
  readonly rule: string;
  readonly severity: Severity;
  readonly message: string;
  /** Keys on disk. */
  readonly tensors: readonly string[];
  readonly hint: string;
}

/** A rule that was not run, and why. */
export interface SkippedRule {
  readonly rule: string;
  readonly reason: string;
}

/** What the rules made of a subject. */
export interface RuleReport {
  readonly checked: readonly string[];
  readonly skipped: readonly SkippedRule[];
  readonly findings: readonly Finding[];
}

/** Which rules are wanted. */
export interface RuleSelection {
  /** All if null. */
  readonly only: ReadonlySet<RuleId> | null;
  /** Rules left out, each with a reason. */
  readonly ignore: ReadonlyMap<RuleId, string>;
}

/** Inputs that one rule cannot judge, while the others can: a Python pattern or a dtype that is not carried over. */
const BEYOND_A_RULE: readonly string[] = ["ADAPTER_PATTERN_UNSUPPORTED", "TENSOR_DTYPE"];

/** True for the id of a rule. */
export function isRuleId(id: string): id is RuleId {
  return Object.hasOwn(RULES, id);
}

function reasonToSkip(rule: Rule, subject: AuditSubject, { only, ignore }: RuleSelection): string | null {
  const id = rule.id as RuleId; // the table's keys are the rules' ids; a test compares both
  if (only !== null && !only.has(id)) return "not among those asked for";
  const ignored = ignore.get(id);
  if (ignored !== undefined) return `ignored: ${ignored}`;
  const missing = rule.needs.find((part) => subject[part] === null);
  return missing === undefined ? null : (subject.absent[missing] ?? `there is no ${missing}`);
}

async function findingsOf(rule: Rule, subject: AuditSubject): Promise<Finding[]> {
  const found = await rule.check(subject);
  return found.map(({ message, tensors = [], hint = rule.remedy, severity = rule.severity }) => ({
    rule: rule.id,
    severity,
    message,
    tensors,
    hint,
  }));
}

/**
 * Runs every rule whose parts the subject has.
 *
 * @throws what reading values throws: FILE_UNREADABLE, SAFETENSORS_TRUNCATED
 */
export async function runRules(subject: AuditSubject, selection: RuleSelection): Promise<RuleReport> {
  const checked: string[] = [];
  const skipped: SkippedRule[] = [];
  const findings: Finding[] = [];
  for (const rule of ALL_RULES) {
    const reason = reasonToSkip(rule, subject, selection);
    if (reason !== null) {
      skipped.push({ rule: rule.id, reason });
      continue;
    }
    try {
      findings.push(...(await findingsOf(rule, subject)));
      checked.push(rule.id);
    } catch (error) {
      if (!isHeirloomError(error) || !BEYOND_A_RULE.includes(error.code)) throw error;
      skipped.push({ rule: rule.id, reason: printable(error.problems[0].message) });
    }
  }
  return { checked, skipped, findings };
}
