import { formatCount } from "../../core/index.ts";
import {
  changeText,
  type DataRecord,
  type Lineage,
  type LineageLink,
  type LinkState,
  type RunChange,
  type RunRecord,
  type RunResult,
  type RunSummary,
} from "../../runs/index.ts";
import type { View } from "../command.ts";
import { type Cell, escapeText, type Paint, renderFacts, renderTable } from "../terminal/index.ts";
import { evaluationText, lossText, stepsText } from "./run-words.ts";

/** What `runs show` gives back. */
export interface ShownRun {
  readonly summary: RunSummary;
  readonly record: RunRecord;
  /** Null until the run has ended. */
  readonly result: RunResult | null;
  readonly lineage: Lineage;
  /** What was changed when it was resumed; the record has what it began with. */
  readonly changes: readonly RunChange[];
}

/** Digits of a hash that tell things apart for people; --json has them all. */
const HASH_DIGITS = 12;

const short = (hash: string | null): string => (hash === null ? "not recorded" : hash.slice(0, HASH_DIGITS));

function dataText({ files, examples, tokens, labelTokens, fingerprint }: DataRecord): string {
  const paths = files.map(({ path }) => path).join(", ");
  return `${paths}: ${formatCount(examples)} examples, ${formatCount(tokens)} tokens, ${formatCount(labelTokens)} to learn (${short(fingerprint)})`;
}

function parentText({ parent }: RunRecord): string {
  if (parent === null) return "none";
  const from = parent.run === null ? "" : ` of run ${parent.run}, step ${parent.step ?? "unknown"}`;
  return `${parent.adapter}${from}`;
}

/** What the run made, and whether it is there. */
function madeText({ summary, record, result, lineage }: ShownRun): string {
  if (result === null) return summary.output ?? (summary.state === "finished" ? "missing" : "nothing yet");
  const isGone = lineage.links.some(({ run, what, state }) => run === record.id && what === result.output && state === "missing");
  return isGone ? `${result.output} (missing)` : result.output;
}

/** What the links come to: whether any is broken, and which were only looked at. */
function verdictText({ ok, links }: Lineage, paint: Paint): string {
  const broken = links.filter(({ state }) => EFFECTS[state] === "red" || state === "moved").length;
  const unchecked = links.filter(({ state }) => state === "unchecked").length;
  const left = unchecked === 0 ? "" : `; the bytes of ${unchecked === 1 ? "one" : unchecked} were not read`;
  if (!ok) return paint.red(`${broken} ${broken === 1 ? "link is" : "links are"} broken${left}`);
  return unchecked === 0 ? paint.green("no link is broken") : `everything is there${left}`;
}

function factsText(shown: ShownRun, paint: Paint): string {
  const { summary, record, changes } = shown;
  const { base, tokenizer, data, ledger } = record;
  const failure = summary.failure === null ? "" : ` (${summary.failure})`;
  return renderFacts(
    [
      ["run", summary.path],
      ["state", `${summary.state}${failure}`],
      ["kind", record.repeats === null ? record.kind : `${record.kind}, repeats ${record.repeats}`],
      ["started", record.createdAt],
      ["updates", `${stepsText(summary)}${summary.loss === null ? "" : `; last loss ${lossText(summary.loss)}`}`],
      ["held-out loss", evaluationText(summary.evaluations) || "not measured"],
      ["made", madeText(shown)],
      ["continues", parentText(record)],
      ...changes.map((change): [string, string] => ["changed on resume", `${change.key} = ${changeText(change)}`]),
      ["trained", ledger.banner],
      ["base", `${base.path}: ${base.architecture}, ${formatCount(base.parameters)} parameters (${short(base.fingerprint.value)})`],
      ["tokenizer", `${short(tokenizer.sha256)}, chat template ${short(tokenizer.chatTemplate)}`],
      ["training data", dataText(data.train)],
      ...Object.entries(data.eval).map(([name, set]): [string, string] => [`held-out "${name}"`, dataText(set)]),
      [
        "environment",
        Object.entries(record.environment)
          .map(([key, value]) => `${key} ${value}`)
          .join(", "),
      ],
    ],
    paint,
  );
}

function configTable({ config, provenance }: RunRecord, paint: Paint): string {
  const at = (path: string): unknown =>
    path
      .split(".")
      .reduce<unknown>((value, key) => (typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined), config);
  const rows = Object.entries(provenance).map(([key, source]): Cell[] => [
    key,
    JSON.stringify(at(key)) ?? "",
    source === "default" ? { text: source, effect: "dim" } : source,
  ]);
  return renderTable([{ title: "configuration" }, { title: "value" }, { title: "from" }], rows, paint);
}

const EFFECTS = {
  ok: "green",
  moved: "yellow",
  missing: "red",
  changed: "red",
  unreadable: "red",
  unrecorded: "dim",
  unchecked: "dim",
} as const satisfies Record<LinkState, keyof Paint>;

function linkRow({ run, what, path, state, found }: LineageLink): Cell[] {
  return [run, what, { text: state, effect: EFFECTS[state] }, found === null ? path : `${path}: ${found}`];
}

/** The chain of hashes by itself, and whether it holds. */
export function lineageView(lineage: Lineage, { paint }: View): string {
  const titles = ["run", "lineage", "state", "where"].map((title) => ({ title }));
  return `${renderTable(titles, lineage.links.map(linkRow), paint)}\n${verdictText(lineage, paint)}`;
}

/** What runs show prints: the facts, the configuration, and the chain of hashes. */
export function runsShowView(shown: ShownRun, view: View): string {
  const { record, summary, lineage } = shown;
  const { paint } = view;
  const notes = [...record.assumptions, ...summary.notes].map((note) => `${paint.yellow("note")} ${escapeText(note)}`);
  return [factsText(shown, paint), notes.join("\n"), configTable(record, paint), lineageView(lineage, view)]
    .filter((part) => part !== "")
    .join("\n\n");
}
