import { formatCount } from "../../core/index.ts";
import type { CheckedSet, DataCheck, DataFinding, LengthSummary } from "../../data/index.ts";
import type { View } from "../command.ts";
import { escapeText, type Paint, renderFacts } from "../terminal/index.ts";
import { fileLines } from "./data-files.ts";

/** The longest bar, beside its numbers on a terminal of 80 columns. */
const MAX_BAR = 40;

function histogram({ histogram: bars, rows }: LengthSummary, maxLength: number, paint: Paint): string[] {
  const most = bars.reduce((max, bar) => Math.max(max, bar.rows), 1);
  const width = Math.max(...bars.map(({ to }) => formatCount(to).length));
  return bars.map(({ from, to, rows: count }) => {
    const bar = "█".repeat(count === 0 ? 0 : Math.max(1, Math.round((count / most) * MAX_BAR)));
    const share = `${formatCount(count)} (${((100 * count) / rows).toFixed(1)} %)`;
    const label = `${formatCount(from).padStart(width)}–${formatCount(to).padStart(width)}`;
    return `  ${paint.dim(label)} ${from > maxLength ? paint.yellow(bar) : paint.green(bar)} ${count === 0 ? "" : share}`.trimEnd();
  });
}

function setText(set: CheckedSet, maxLength: number, paint: Paint): string {
  const { name, files, skippedFiles, records, lengths, tokens, labelTokens, mixedTokenRows } = set;
  const rows = files.reduce((sum, file) => sum + file.rows, 0);
  // A row that could be read, but not be put into the chat template, is no example either.
  const examples = lengths?.rows ?? records;
  const facts: [string, string][] = [["rows", `${formatCount(rows)}${examples === rows ? "" : `, ${formatCount(examples)} examples`}`]];
  if (skippedFiles.length > 0) facts.push(["files passed over", `${formatCount(skippedFiles.length)}, hidden or no data`]);
  if (lengths !== null && tokens !== null && labelTokens !== null) {
    facts.push([
      "tokens",
      `${formatCount(tokens)}, ${formatCount(labelTokens)} trained (${((100 * labelTokens) / Math.max(1, tokens)).toFixed(1)} %)`,
    ]);
    facts.push([
      "tokens of a row",
      `${formatCount(lengths.min)} to ${formatCount(lengths.max)}, median ${formatCount(lengths.median)}, 95 % up to ${formatCount(lengths.p95)}`,
    ]);
  }
  if (mixedTokenRows !== null && mixedTokenRows > 0)
    facts.push(["mixed tokens", `${formatCount(mixedTokenRows)} rows with a token that is partly trained text`]);
  return [
    paint.bold(name === "train" ? "training data" : "held-out data"),
    ...files.flatMap((file) => fileLines(file, paint)),
    renderFacts(facts, paint),
    ...(lengths === null ? [] : histogram(lengths, maxLength, paint)),
  ].join("\n");
}

/** Places of a finding that are printed; --json has more. */
const MAX_SHOWN_PLACES = 5;

/** `a.jsonl:3, :4, :9 and 12 more`: a file once, then its rows. */
function placesText({ places, count }: DataFinding): string {
  let before = "";
  const shown = places.slice(0, MAX_SHOWN_PLACES).map((place) => {
    const at = place.lastIndexOf(":");
    const file = at < 0 ? place : place.slice(0, at);
    const text = at >= 0 && file === before ? place.slice(at) : place;
    before = file;
    return escapeText(text);
  });
  return `${shown.join(", ")}${count > shown.length ? ` and ${formatCount(count - shown.length)} more` : ""}`;
}

function findingText(finding: DataFinding, paint: Paint): string {
  const { message, count, example } = finding;
  const shown = example === null ? "" : escapeText(example.replace(/\s+/g, " "));
  if (count === 1) return `  ${placesText(finding)}: ${escapeText(message)}${shown === "" ? "" : paint.dim(`: ${shown}`)}`;
  const first = shown === "" ? "" : paint.dim(`, the first: ${shown}`);
  return `  ${escapeText(message)}: ${formatCount(count)} ${finding.row === null ? "files" : "rows"}${first}\n    ${paint.dim(placesText(finding))}`;
}

function findingsText({ counts, findings }: DataCheck, paint: Paint): string {
  return counts
    .map(({ rule, severity, count }) => {
      const listed = findings.filter((finding) => finding.rule === rule);
      const heading = `${severity === "error" ? paint.red("error") : paint.yellow("warning")} ${paint.bold(rule)} ${formatCount(count)} ${rule === "empty-file" ? "file" : "row"}${count === 1 ? "" : "s"}`;
      const left = count - listed.reduce((sum, finding) => sum + finding.count, 0);
      const more = left > 0 ? [paint.dim(`  … and ${formatCount(left)} more`)] : [];
      const hints = [...new Set(listed.flatMap(({ hint }) => (hint === null ? [] : [hint])))];
      return [
        heading,
        ...listed.map((finding) => findingText(finding, paint)),
        ...more,
        ...hints.map((hint) => paint.dim(`  → ${escapeText(hint)}`)),
      ].join("\n");
    })
    .join("\n");
}

/** What data check prints: what the files are, how long rows are, and what is wrong. */
export function dataCheckView(result: DataCheck, { paint }: View): string {
  const { sets, maxLength, tokenizer, counts, ok } = result;
  const note = tokenizer === null ? [paint.dim("lengths and labels were not checked: name a tokenizer with --base or --tokenizer")] : [];
  const verdict = counts.length === 0 ? paint.green("nothing is wrong") : ok ? paint.green("no errors") : paint.red("there are errors");
  const findings = counts.length === 0 ? [] : [findingsText(result, paint)];
  return [...sets.map((set) => setText(set, maxLength, paint)), ...findings, [...note, verdict].join("\n")].join("\n\n");
}
