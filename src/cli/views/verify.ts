import type { Finding, VerifyResult } from "../../audit/verify/index.ts";
import type { View } from "../command.ts";
import { escapeText, type Paint } from "../terminal/index.ts";

const LABELS = {
  error: (paint: Paint) => paint.red("error"),
  warning: (paint: Paint) => paint.yellow("warning"),
  note: (paint: Paint) => paint.dim("note"),
} as const;

/** The commands of GitHub's runner: one line each, with its own escapes. */
const COMMANDS = { error: "error", warning: "warning", note: "notice" } as const;

const counted = (count: number, word: string): string => `${count} ${word}${count === 1 ? "" : "s"}`;

function findingText({ rule, severity, message, hint }: Finding, paint: Paint): string {
  return [`${LABELS[severity](paint)} ${escapeText(message)} ${paint.dim(`[${rule}]`)}`, `  ${paint.dim(escapeText(hint))}`].join("\n");
}

function summary({ ok, findings, checked, skipped }: VerifyResult, paint: Paint): string {
  const count = (severity: Finding["severity"]): number => findings.filter((finding) => finding.severity === severity).length;
  const parts = [counted(count("error"), "error"), counted(count("warning"), "warning"), counted(count("note"), "note")];
  return `${ok ? paint.green("ok") : paint.red("failed")}: ${parts.join(", ")}; ${counted(checked.length, "rule")} run, ${skipped.length} not`;
}

/** Rules that were not run, under the reason that they share. */
function skippedText({ skipped }: VerifyResult, paint: Paint): string {
  const byReason = new Map<string, string[]>();
  for (const { rule, reason } of skipped) byReason.set(reason, [...(byReason.get(reason) ?? []), rule]);
  return [...byReason].map(([reason, rules]) => paint.dim(`not run, ${escapeText(reason)}: ${rules.join(", ")}`)).join("\n");
}

function fixedText({ fixed }: VerifyResult): string {
  if (fixed === undefined) return "";
  if (fixed.folder === null) return "nothing to repair without touching values; no copy was written";
  return [
    `repaired copy in ${escapeText(fixed.folder)}; what follows is about it`,
    ...fixed.changes.map((change) => `  ${escapeText(change)}`),
  ].join("\n");
}

/** What verify prints: repairs, findings, the rules that did not run, and the verdict. */
export function verifyView(result: VerifyResult, { paint }: View): string {
  const findings = result.findings.map((finding) => findingText(finding, paint)).join("\n");
  return [fixedText(result), findings, skippedText(result, paint), summary(result, paint)].filter((part) => part !== "").join("\n\n");
}

const escapeData = (text: string): string => escapeText(text).replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A");

/** Findings as annotations of a GitHub Actions run, one line each. */
export function githubAnnotations({ findings }: VerifyResult): string {
  return findings
    .map(({ rule, severity, message, hint }) => `::${COMMANDS[severity]} title=heirloom ${rule}::${escapeData(`${message}. ${hint}`)}`)
    .join("\n");
}
