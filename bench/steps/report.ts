// What every measurement is told with: medians and spread, the machine, the commit.
import { execFileSync } from "node:child_process";
import { arch, cpus, platform, totalmem } from "node:os";
import { writeTextAtomic } from "../../src/core/node/index.ts";
import type { ObservedProcess } from "./measured-process.ts";

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly each: readonly number[];
}

export const rounded = (value: number, digits = 3): number => Number(value.toFixed(digits));

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
export const peakOf = (result: ObservedProcess): number => Math.max(result.peakRssMib, result.observedPeakRssMib ?? 0);

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
