// What a row says: figures against what is asked, every round, machine, method and commit; as JSON and as Markdown.
import { join } from "node:path";
import { writeTextAtomic } from "../../src/core/node/index.ts";
import type { ObservedProcess, ProcessResult } from "../steps/measured-process.ts";
import { currentCommit, machineInfo, peakOf, type Spread, spread } from "../steps/report.ts";
import { isMet, type Measurement, type Side, type SpeedRow, type Target } from "./row.ts";
import type { SpeedSettings } from "./settings.ts";

interface SideReport {
  readonly command: string;
  readonly tokensPerSecond: Spread | null;
  readonly peakRssMib: Spread;
  readonly rounds: readonly (ObservedProcess | ProcessResult)[];
}

/** A row that has been measured. */
export interface SpeedReport {
  readonly schemaVersion: 1;
  readonly name: string;
  readonly title: string;
  readonly date: string;
  readonly commit: string;
  readonly method: string;
  readonly notes: readonly string[];
  readonly machine: Readonly<Record<string, string | number>>;
  readonly settings: Readonly<Record<string, string | number>>;
  readonly figures: Measurement["figures"];
  readonly targets: readonly (Target & { readonly found: number | null; readonly met: boolean | null })[];
  readonly versions: Readonly<Record<string, unknown>>;
  readonly sides: Readonly<Record<string, SideReport>>;
}

/** Only the last part of an absolute path: where things lie on the machine is nobody's business. */
const shown = (word: string | number): string | number =>
  typeof word === "string" && word.startsWith("/") ? word.replace(/^.*\//, "") : word;

function sideReport({ command, results }: Side): SideReport {
  const rates = results.flatMap((result) => ("tokensPerSecond" in result ? [result.tokensPerSecond] : []));
  return {
    command: command.map(shown).join(" "),
    tokensPerSecond: rates.length === 0 ? null : spread(rates),
    peakRssMib: spread(results.map(peakOf)),
    rounds: results,
  };
}

/** Puts a measurement together with what it was made on. */
export function speedReport(row: SpeedRow, settings: SpeedSettings, measured: Measurement): SpeedReport {
  const sides = Object.entries(measured.sides);
  return {
    schemaVersion: 1,
    name: row.name,
    title: row.title,
    date: new Date().toISOString().slice(0, 10),
    commit: currentCommit(),
    method: measured.method,
    notes: measured.notes ?? [],
    machine: machineInfo(),
    settings: Object.fromEntries(Object.entries(settings).map(([key, value]) => [key, shown(value)])),
    figures: measured.figures,
    targets: row.targets.map((target) => {
      const found = measured.figures[target.figure] ?? null;
      return { ...target, found, met: found === null ? null : isMet(target, found, target.asked) };
    }),
    versions: {
      node: process.versions.node,
      ...Object.fromEntries(
        sides.flatMap(([name, { results }]) => (results[0]?.output["versions"] ? [[name, results[0].output["versions"]]] : [])),
      ),
    },
    sides: Object.fromEntries(sides.map(([name, side]) => [name, sideReport(side)])),
  };
}

const range = ({ median, min, max }: Spread, digits: number): string =>
  `${median.toFixed(digits)} (${min.toFixed(digits)} – ${max.toFixed(digits)})`;

const list = (entries: Readonly<Record<string, unknown>>): string =>
  Object.entries(entries)
    .filter(([, value]) => value !== "")
    .map(([key, value]) => `${key} ${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join(", ");

function targetLine({ figure, better, asked, stretch, found, met }: SpeedReport["targets"][number]): string {
  const sign = { more: "≥", less: "≤", equal: "=" }[better];
  const verdict = met === null ? "not measured" : met ? "yes" : "no";
  return `| ${figure} | ${found ?? "–"} | ${sign} ${asked} | ${stretch === undefined ? "–" : `${sign} ${stretch}`} | ${verdict} |`;
}

function eachRound(side: SideReport): string {
  return side.rounds
    .map((round) => ("tokensPerSecond" in round ? round.tokensPerSecond.toFixed(1) : `${round.wallSeconds.toFixed(1)} s`))
    .join(", ");
}

/** The report as a page. */
export function toMarkdown(report: SpeedReport): string {
  const sides = Object.entries(report.sides);
  const others = sides.flatMap(([, { rounds }]) => rounds.map(({ othersCores }) => othersCores ?? 0));
  const targeted = new Set(report.targets.map(({ figure }) => figure));
  const rest = Object.entries(report.figures).filter(([name]) => !targeted.has(name));
  const tables = [
    report.targets.length === 0
      ? ""
      : `| figure | found | asked | stretch | met |\n| --- | --- | --- | --- | --- |\n${report.targets.map(targetLine).join("\n")}\n`,
    rest.length === 0
      ? ""
      : `| figure | found |\n| --- | --- |\n${rest.map(([name, value]) => `| ${name} | ${value ?? "–"} |`).join("\n")}\n`,
    sides.length === 0
      ? ""
      : `| side | tokens/s: median (min – max) | peak RSS MiB: median (min – max) | each round |\n| --- | --- | --- | --- |\n${sides
          .map(([name, side]) => {
            const rate = side.tokensPerSecond === null ? "–" : range(side.tokensPerSecond, 1);
            return `| ${name} | ${rate} | ${range(side.peakRssMib, 0)} | ${eachRound(side)} |`;
          })
          .join("\n")}\n`,
  ];
  return `# ${report.name}

${report.title}.

${report.date}, commit ${report.commit}. ${list(report.machine)}.
${report.method}
${report.notes.map((note) => `\n${note}\n`).join("")}
${tables.filter((table) => table !== "").join("\n")}
Settings: ${list(report.settings)}.
${sides.length === 0 ? "" : `Cores that other processes used meanwhile: at most ${Math.max(0, ...others).toFixed(2)}.\n`}Versions: ${list(report.versions)}.

${sides.map(([name, { command }]) => `- ${name}: \`${command}\``).join("\n")}
`;
}

/** Writes `<out>/<name>.json` and `.md`. */
export async function writeReport(report: SpeedReport, out: string): Promise<void> {
  await writeTextAtomic(join(out, `${report.name}.json`), `${JSON.stringify(report, null, 2)}\n`);
  await writeTextAtomic(join(out, `${report.name}.md`), toMarkdown(report));
}
