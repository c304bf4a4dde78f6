// What a side-by-side measurement says: medians, spread, ratios, the machine; as JSON and as a short Markdown table.
import { execFileSync } from "node:child_process";
import { arch, cpus, platform, totalmem } from "node:os";
import { writeTextAtomic } from "../../src/core/node/index.ts";
import type { ProcessResult } from "./measured-process.ts";

export type Side = "pytorch" | "heirloom";

export interface Round {
  readonly order: readonly Side[];
  readonly pytorch: ProcessResult;
  readonly heirloom: ProcessResult;
}

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly each: readonly number[];
}

export interface SideSummary {
  readonly tokensPerSecond: Spread;
  readonly peakRssMib: Spread;
}

export interface BenchReport {
  readonly schemaVersion: 1;
  readonly name: string;
  readonly date: string;
  readonly commit: string;
  readonly method: string;
  readonly machine: Readonly<Record<string, string | number>>;
  readonly settings: Readonly<Record<string, string | number>>;
  readonly commands: Readonly<Record<Side, string>>;
  readonly pytorch: SideSummary;
  readonly heirloom: SideSummary;
  /** heirloom / PyTorch; of the medians, and of each round. */
  readonly ratios: { readonly tokensPerSecond: number; readonly peakRss: number; readonly tokensPerSecondEach: readonly number[] };
  readonly versions: Readonly<Record<string, unknown>>;
  readonly rounds: readonly Round[];
}

const rounded = (value: number, digits = 3): number => Number(value.toFixed(digits));

export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const median = ((sorted[Math.ceil(middle) - 1] as number) + (sorted[Math.floor(middle)] as number)) / 2;
  return {
    median: rounded(median),
    min: rounded(sorted[0] as number),
    max: rounded(sorted.at(-1) as number),
    each: values.map((value) => rounded(value)),
  };
}

/** Self-reported peaks miss what a program does not count; the larger of its own figure and the kernel's is taken. */
const peak = (result: ProcessResult): number => Math.max(result.peakRssMib, result.observedPeakRssMib ?? 0);

export function summarize(results: readonly ProcessResult[]): SideSummary {
  return {
    tokensPerSecond: spread(results.map((result) => result.tokensPerSecond)),
    peakRssMib: spread(results.map(peak)),
  };
}

export function ratiosOf(rounds: readonly Round[]): BenchReport["ratios"] {
  const pytorch = summarize(rounds.map((round) => round.pytorch));
  const heirloom = summarize(rounds.map((round) => round.heirloom));
  return {
    tokensPerSecond: rounded(heirloom.tokensPerSecond.median / pytorch.tokensPerSecond.median),
    peakRss: rounded(heirloom.peakRssMib.median / pytorch.peakRssMib.median),
    tokensPerSecondEach: rounds.map((round) => rounded(round.heirloom.tokensPerSecond / round.pytorch.tokensPerSecond)),
  };
}

/** CPU, cores and memory; nothing that names the host. */
export function machineInfo(): Record<string, string | number> {
  const processors = cpus();
  return {
    cpu: processors[0]?.model ?? "unknown",
    logicalCores: processors.length,
    memoryGib: rounded(totalmem() / 2 ** 30, 1),
    platform: `${platform()} ${arch()}`,
  };
}

/** The commit that was measured; "+" says that the tree had changes. */
export function currentCommit(): string {
  const git = (...parameters: string[]) => execFileSync("git", parameters, { encoding: "utf8" }).trim();
  return git("rev-parse", "--short=12", "HEAD") + (git("status", "--porcelain", "--untracked-files=no") === "" ? "" : "+");
}

/** Writes a kernel's figures with what they were measured on; does nothing without a path. */
export async function writeKernelReport(path: string | undefined, figures: Readonly<Record<string, unknown>>): Promise<void> {
  if (path === undefined) return;
  const setting = {
    schemaVersion: 1,
    date: new Date().toISOString(),
    commit: currentCommit(),
    machine: machineInfo(),
    node: process.version,
  };
  await writeTextAtomic(path, `${JSON.stringify({ ...setting, ...figures }, null, 2)}\n`);
}

const range = ({ median, min, max }: Spread, digits: number) =>
  `${median.toFixed(digits)} (${min.toFixed(digits)} – ${max.toFixed(digits)})`;

export function toMarkdown(report: BenchReport): string {
  const row = (title: string, side: SideSummary) => `| ${title} | ${range(side.tokensPerSecond, 1)} | ${range(side.peakRssMib, 0)} |`;
  const others = report.rounds.flatMap(({ pytorch, heirloom }) => [pytorch.othersCores ?? 0, heirloom.othersCores ?? 0]);
  const list = (entries: Readonly<Record<string, unknown>>) =>
    Object.entries(entries)
      .map(([key, value]) => `${key} ${typeof value === "string" ? value : JSON.stringify(value)}`)
      .join(", ");
  return `# ${report.name}

${report.date}, commit ${report.commit}. ${list(report.machine)}.
${report.method}
Settings: ${list(report.settings)}.

|  | tokens/s: median (min – max) | peak RSS MiB: median (min – max) |
| --- | --- | --- |
${row("PyTorch + PEFT", report.pytorch)}
${row("heirloom", report.heirloom)}
| heirloom / PyTorch | ${report.ratios.tokensPerSecond.toFixed(2)}× | ${report.ratios.peakRss.toFixed(2)}× |

Ratio in each round: ${report.ratios.tokensPerSecondEach.map((ratio) => ratio.toFixed(2)).join(", ")}.
Cores that other processes used meanwhile: at most ${Math.max(...others).toFixed(2)}.
Versions: ${list(report.versions)}.
`;
}
