// The commands that read headers, as a user starts them: a fresh process of the built program each time.
//
//   npm run build && npm run bench -- audit [--rounds 9] [--out bench/results/audit]     writes OUT.json and OUT.md
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs, promisify } from "node:util";
import { InternalError } from "../../src/core/index.ts";
import { writeTextAtomic } from "../../src/core/node/index.ts";
import { currentCommit, machineInfo, type Spread, spread } from "../steps/report.ts";
import { writeManyShards, writeOriginalCase } from "./scenes.ts";

const PROGRAM = process.env["HEIRLOOM_PROGRAM"] ?? "dist/cli/main.js";
const OBSERVER = new URL("./observe-process.mjs", import.meta.url).href;

interface Case {
  readonly name: string;
  readonly args: readonly string[];
  /** What is asked of it (issue: "Speed and size"). */
  readonly asked: string;
}

/** What every figure contains, on whatever machine and under whatever load: Node with nothing to do. */
const NODE_ALONE: Case = { name: "`node -e 0`", args: [], asked: "" };

interface Outcome {
  readonly name: string;
  readonly asked: string;
  readonly milliseconds: Spread;
  readonly bytesRead: number;
  readonly maxRssMib: number;
}

interface Run {
  readonly milliseconds: number;
  readonly bytesRead: number;
  readonly maxRssKib: number;
}

async function runOnce(args: readonly string[], scene: string, isObserved: boolean): Promise<Run> {
  const started = performance.now();
  const program = args.length === 0 ? ["-e", "0"] : [PROGRAM, ...args];
  const { stderr } = await promisify(execFile)(process.execPath, [...(isObserved ? ["--import", OBSERVER] : []), ...program], {
    env: { ...process.env, SCENE: scene, NO_COLOR: "1" },
    maxBuffer: 2 ** 28,
  });
  const milliseconds = performance.now() - started;
  if (!isObserved) return { milliseconds, bytesRead: 0, maxRssKib: 0 };
  const observed = /^@observed (.*)$/m.exec(stderr)?.[1];
  if (observed === undefined) throw new InternalError(`${args.join(" ")} did not come to its end`);
  return { milliseconds, ...(JSON.parse(observed) as Omit<Run, "milliseconds">) };
}

async function measure(cases: readonly Case[], scene: string, rounds: number): Promise<Outcome[]> {
  const times = cases.map((): number[] => []);
  for (let round = 0; round <= rounds; round++) {
    for (const [i, { args }] of cases.entries()) {
      const { milliseconds } = await runOnce(args, scene, false);
      if (round > 0) times[i]?.push(milliseconds);
    }
  }
  const outcomes: Outcome[] = [];
  for (const [i, { name, args, asked }] of cases.entries()) {
    const { bytesRead, maxRssKib } = await runOnce(args, scene, true);
    outcomes.push({ name, asked, milliseconds: spread(times[i] ?? []), bytesRead, maxRssMib: maxRssKib / 1024 });
  }
  return outcomes;
}

function report(outcomes: readonly Outcome[], rounds: number, commit: string, load: readonly [number, number]): string {
  const alone = outcomes[0]?.milliseconds.median ?? 0;
  const rows = outcomes.map(({ name, asked, milliseconds: { median, min, max }, bytesRead, maxRssMib }) =>
    [
      "",
      name,
      `${median.toFixed(0)} (${min.toFixed(0)} – ${max.toFixed(0)})`,
      (median - alone).toFixed(0),
      (bytesRead / 1000).toFixed(0),
      maxRssMib.toFixed(0),
      asked,
      "",
    ]
      .join(" | ")
      .trim(),
  );
  return `# Reading headers

Commit ${commit}, ${Object.values(machineInfo()).join(", ")}.
Each figure is of a whole process of the built program, from start to exit, in the page cache; all cases in turn, ${rounds} rounds and one
to warm up. Bytes are those read of the scene's files, RSS is the kernel's maximum, both of one more run with an observer loaded.

| case | ms: median (min – max) | more than Node alone | kB read | MiB RSS | asked |
| --- | --- | --- | --- | --- | --- |
${rows.join("\n")}

The scene: the adapter of the first case (rank 64 on Llama-3.1-8B with both full copies, a sparse file of 2.6 GiB with a true header), and a
model of 1,000 shards with 100,000 tensors. Load of the machine before and after: ${load[0].toFixed(1)}, ${load[1].toFixed(1)}.
`;
}

/** Measures the commands that read headers. */
export async function auditBench(argv: string[]): Promise<void> {
  const { values } = parseArgs({ args: argv, options: { rounds: { type: "string", default: "9" }, out: { type: "string" } } });
  const scene = await mkdtemp(join(tmpdir(), "heirloom-bench-audit-"));
  const before = loadavg()[0] ?? 0;
  try {
    const { adapter, base } = await writeOriginalCase(scene);
    const sharded = await writeManyShards(scene);
    const banner = "trainable params: 167,772,160 (1.81%)";
    const cases: Case[] = [
      NODE_ALONE,
      { name: "`--version`", args: ["--version"], asked: "" },
      { name: "`--help`", args: ["--help"], asked: "≤ 120 ms" },
      { name: "`inspect ADAPTER --base BASE`", args: ["inspect", adapter, "--base", base], asked: "≤ 250 ms, < 1 MB, < 120 MB" },
      { name: "`inspect` of 1,000 shards, 100,000 tensors", args: ["inspect", sharded], asked: "< 1,500 ms" },
      { name: "`explain` of the first case", args: ["explain", banner, "--base", base, "--adapter", adapter], asked: "< 2,000 ms" },
    ];
    const outcomes = await measure(cases, scene, Number(values.rounds));
    const commit = currentCommit();
    const text = report(outcomes, Number(values.rounds), commit, [before, loadavg()[0] ?? 0]);
    process.stdout.write(text);
    if (values.out === undefined) return;
    await writeTextAtomic(`${values.out}.md`, text);
    await writeTextAtomic(`${values.out}.json`, `${JSON.stringify({ commit, machine: machineInfo(), outcomes }, null, 2)}\n`);
  } finally {
    await rm(scene, { recursive: true });
  }
}
