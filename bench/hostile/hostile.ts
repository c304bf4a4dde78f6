// Every hostile input as a command line in a process of its own, then thousands of damaged folders in one more.
//
//   npm run build && npm run bench -- hostile [--cases 4000] [--seed 20261124] [--main dist/cli/main.js] [--report bench/results/hostile.md]
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs, promisify } from "node:util";
import { InternalError } from "../../src/core/index.ts";
import { writeTextAtomic } from "../../src/core/node/index.ts";
import { currentCommit, machineInfo } from "../steps/report.ts";
import { HOSTILE_CASES } from "./cases.ts";
import type { MutationReport } from "./mutations.ts";
import { type CaseOutcome, LIMITS, runCase } from "./run-case.ts";

interface Row extends CaseOutcome {
  readonly kind: string;
  readonly name: string;
}

async function runAll(main: string): Promise<Row[]> {
  const rows: Row[] = [];
  for (const [kind, cases] of Object.entries(HOSTILE_CASES)) {
    for (const { name, make } of cases) {
      const root = await mkdtemp(join(tmpdir(), "heirloom-hostile-"));
      try {
        const inputs = await make(join(root, "input"));
        rows.push({ kind, name, ...(await runCase([main], inputs, root)) });
      } finally {
        await rm(root, { recursive: true });
      }
    }
  }
  return rows;
}

async function runDamaged(cases: string, seed: string): Promise<MutationReport> {
  const loader = new URL("../../tools/register-typescript.mjs", import.meta.url).href;
  const program = new URL("mutations-process.ts", import.meta.url).pathname;
  const { stdout } = await promisify(execFile)(process.execPath, ["--import", loader, program, cases, seed]);
  return JSON.parse(stdout) as MutationReport;
}

function page(rows: readonly Row[], damaged: MutationReport, seed: string): string {
  const worst = (value: (row: Row) => number): Row | undefined => [...rows].sort((a, b) => value(b) - value(a))[0];
  const slowest = worst(({ seconds }) => seconds);
  const largest = worst(({ mib }) => mib ?? Number.POSITIVE_INFINITY);
  const faults = rows.filter((row) => row.faults.length > 0);
  const codes = Object.entries(damaged.codes)
    .sort(([, a], [, b]) => b - a)
    .map(([code, count]) => `${code} ${count}`)
    .join(", ");
  const { cpu, logicalCores } = machineInfo();
  return `# Hostile input

<!-- Written by \`npm run bench -- hostile\`. -->

${new Date().toISOString()}, commit ${currentCommit()}, Node ${process.version}, ${cpu}, ${logicalCores} cores. Each input meets the built program twice in a process of its own, with
\`--json\` and without; processor time and peak memory are those of the worse. Limits: ${LIMITS.seconds} s and ${LIMITS.mib} MiB each, a result or a typed error
(never \`INTERNAL\`), and no byte of the file that steers a terminal in what is printed, with \`HEIRLOOM_DEBUG\` set.

${rows.length} inputs, ${faults.length} beyond a limit. Most time: ${slowest?.seconds.toFixed(1)} s (${slowest?.name}). Most memory: ${largest?.mib?.toFixed(0)} MiB (${largest?.name}).

${damaged.cases} folders of a checkpoint with one file damaged (random bytes, cut short, pieces moved; seed ${seed}), each through inspect and verify with values:
${damaged.read} looks gave a result, the others typed errors (${codes}). Slowest folder: ${damaged.slowestSeconds.toFixed(2)} s by the clock; peak memory of the process: ${damaged.mib.toFixed(0)} MiB.
The property tests of \`src/formats\` add some 21,000 damaged or made-up files each time that they run.

| kind | input | ends with | s | MiB | |
| --- | --- | --- | --- | --- | --- |
${rows.map(({ kind, name, outcome, seconds, mib, faults: wrong }) => `| ${kind} | ${name.replace(/[|*<>]/g, "\\$&")} | ${outcome} | ${seconds.toFixed(2)} | ${mib?.toFixed(0) ?? ""} | ${wrong.join("; ")} |`).join("\n")}
`;
}

/** npm run bench -- hostile */
export async function hostileBench(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      cases: { type: "string", default: "4000" },
      seed: { type: "string", default: "20261124" },
      main: { type: "string", default: "dist/cli/main.js" },
      report: { type: "string" },
    },
  });
  const main = resolve(values.main);
  if (!existsSync(main)) throw new InternalError(`expected the built program at ${values.main}: npm run build`);
  const rows = await runAll(main);
  const text = page(rows, await runDamaged(values.cases, values.seed), values.seed);
  if (values.report === undefined) process.stdout.write(text);
  else await writeTextAtomic(values.report, text);
  const faults = rows.filter((row) => row.faults.length > 0);
  if (faults.length > 0) throw new InternalError(faults.map(({ name, faults: wrong }) => `${name}: ${wrong.join("; ")}`).join("\n"));
}
