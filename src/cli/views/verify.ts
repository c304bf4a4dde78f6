import type { Finding, VerifyResult } from "../../audit/verify/index.ts";
import type { View } from "../command.ts";
import { escapeText, type Paint, wrapText } from "../terminal/index.ts";

const LABELS = {
  error: (paint: Paint) => paint.red("error"),
  warning: (paint: Paint) => paint.yellow("warning"),
  note: (paint: Paint) => paint.dim("note"),
} as const;

/** The commands of GitHub's runner: one line each, with its own escapes. */
const COMMANDS = { error: "error", warning: "warning", note: "notice" } as const;

const counted = (count: number, word: string): string => `${count} ${word}${count === 1 ? "" : "s"}`;

function findingText({ rule, severity, message, hint }: Finding, { paint, limit }: View): string {
  const room = limit ?? Infinity;
  // The severity is measured with the text and painted afterwards.
  const [first = "", ...rest] = wrapText(`${severity} ${escapeText(message)} [${rule}]`, room - 2);
  const said = [`${LABELS[severity](paint)}${first.slice(severity.length)}`, ...rest.map((line) => `  ${line}`)]
    .join("\n")
    .replace(/\[[^\][]*\]$/, (id) => paint.dim(id));
  return [said, ...wrapText(escapeText(hint), room - 2).map((line) => `  ${paint.dim(line)}`)].join("\n");
}

function summary({ ok, findings, checked, skipped }: VerifyResult, paint: Paint): string {
  const count = (severity: Finding["severity"]): number => findings.filter((finding) => finding.severity === severity).length;
  const parts = [counted(count("error"), "error"), counted(count("warning"), "warning"), counted(count("note"), "note")];
  return `${ok ? paint.green("ok") : paint.red("failed")}: ${parts.join(", ")}; ${counted(checked.length, "rule")} run, ${skipped.length} not`;
}

/** Groups of rules up to this size are named; what a larger one shares is its reason. */
const MAX_NAMED_RULES = 2;

/** Rules that were not run, as one paragraph of reasons; those that somebody left out are always named. */
function skippedText({ skipped }: VerifyResult, { paint, limit }: View): string {
  if (skipped.length === 0) return "";
  const byReason = new Map<string, string[]>();
  for (const { rule, reason } of skipped) byReason.set(reason, [...(byReason.get(reason) ?? []), rule]);
  const parts = [...byReason].map(([reason, rules]) => {
    const isNamed = rules.length <= MAX_NAMED_RULES || reason.startsWith("ignored:");
    return `${escapeText(reason)}: ${isNamed ? rules.join(", ") : counted(rules.length, "rule")}`;
  });
  const text = `not run, ${parts.join("; ")}${skipped.length > MAX_NAMED_RULES ? " (--json names each)" : ""}`;
  return wrapText(text, limit ?? Infinity)
    .map((line) => paint.dim(line))
    .join("\n");
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
export function verifyView(result: VerifyResult, view: View): string {
  const findings = result.findings.map((finding) => findingText(finding, view)).join("\n");
  return [fixedText(result), findings, skippedText(result, view), summary(result, view.paint)].filter((part) => part !== "").join("\n\n");
}

const escapeData = (text: string): string => escapeText(text).replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A");

/** Findings as annotations of a GitHub Actions run, one line each. */
export function githubAnnotations({ findings }: VerifyResult): string {
  return findings
    .map(({ rule, severity, message, hint }) => `::${COMMANDS[severity]} title=heirloom ${rule}::${escapeData(`${message}. ${hint}`)}`)
    .join("\n");
}
