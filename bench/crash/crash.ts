// npm run bench -- crash: kills the built program at random moments, two hundred times, and says what was lost.
import { execFileSync } from "node:child_process";
import { cpus, loadavg } from "node:os";
import { parseArgs } from "node:util";
import { RandomStream } from "../../src/core/index.ts";
import { writeTextAtomic } from "../../src/core/node/index.ts";
import { TinyWorkshop } from "../../src/train/fixtures/tiny-run.ts";
import { type Kill, killOften, referenceRun, writeScene } from "./kill-chain.ts";

const KILLS_PER_RUN = 6;

function commit(): string {
  const git = (...args: string[]): string => execFileSync("git", args, { encoding: "utf8" }).trim();
  try {
    return `${git("rev-parse", "--short", "HEAD")}${git("status", "--porcelain", "--untracked-files=no") === "" ? "" : "+"}`;
  } catch {
    return "unknown";
  }
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return ((sorted[(sorted.length - 1) >> 1] ?? 0) + (sorted[sorted.length >> 1] ?? 0)) / 2;
}

/** A moment without its numbers: what was being done. */
function kindOf({ moment }: Kill): string {
  if (moment.startsWith("after ") && moment.endsWith(" ms")) return "at a random time";
  // `.checkpoint-N.*.tmp/.optimizer.pt.*.tmp` is about `checkpoint-N/optimizer.pt`.
  return moment.replace(/^(before|half|after) /, "").replaceAll(/\.(\S+?)\.\*\.(?:tmp|old)/g, "$1");
}

function momentTable(kills: readonly Kill[]): string {
  const kinds = new Map<string, Kill[]>();
  for (const kill of kills) kinds.set(kindOf(kill), [...(kinds.get(kindOf(kill)) ?? []), kill]);
  const rows = [...kinds].sort((a, b) => b[1].length - a[1].length || (a[0] < b[0] ? -1 : 1));
  return rows.map(([kind, of]) => `| ${kind} | ${of.length} | ${Math.max(...of.map(({ lost }) => lost))} |`).join("\n");
}

/** The benchmark as `npm run bench -- crash` runs it. */
export async function crashBench(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: { kills: { type: "string", default: "200" }, seed: { type: "string", default: "1" }, out: { type: "string" } },
  });
  const made = commit(); // of the program that is killed, whatever is committed meanwhile
  const workshop = await TinyWorkshop.open();
  try {
    writeScene(workshop);
    const reference = await referenceRun(workshop.folder);
    const scene = { folder: workshop.folder, reference, random: new RandomStream(Number(values.seed), "kills") };
    let count = 0;
    const { kills, runs, faults } = await killOften(scene, { kills: Number(values.kills), perRun: KILLS_PER_RUN }, (kill) => {
      console.error(
        `${++count}  ${kill.command}  ${kill.moment}: ${kill.lost} lost${kill.faults.length > 0 ? `  ${kill.faults.join("; ")}` : ""}`,
      );
    });
    const lost = kills.map((kill) => kill.lost);
    const summary = { kills: kills.length, runs, faults: faults.length, lost: { median: median(lost), max: Math.max(...lost) } };
    const text = [
      "# crash",
      "",
      `Commit ${made}, ${cpus()[0]?.model.trim() ?? "unknown"}, ${cpus().length} cores, Node ${process.version}, load ${loadavg()[0]?.toFixed(1)}; seed ${values.seed}.`,
      "The built program trains a tiny model: 18 updates, a checkpoint every third, the last two and the best kept. It is killed",
      "(SIGKILL) at a random time, or before, in the middle of, or after one of its calls that change the disk, resumed, and killed",
      `again, up to ${KILLS_PER_RUN} times a run. After each kill every checkpoint is held against its checksums and every event line is read;`,
      "each run then ends, and its adapter, checkpoints and losses are held against those of a run that was never killed, byte for byte.",
      "",
      `**${summary.kills} kills in ${summary.runs} runs; ${summary.faults === 0 ? "every run ended in the same bytes, and no fault was found" : `faults: ${summary.faults}`}. Updates lost to a kill: median ${summary.lost.median}, at most ${summary.lost.max}.**`,
      "",
      "| while | kills | most updates lost |",
      "| --- | --- | --- |",
      momentTable(kills),
      "",
      ...faults.map((fault) => `- ${fault}`),
    ];
    console.log(text.join("\n"));
    if (values.out !== undefined) {
      await writeTextAtomic(`bench/results/${values.out}.md`, `${text.join("\n").trimEnd()}\n`);
      await writeTextAtomic(
        `bench/results/${values.out}.json`,
        `${JSON.stringify({ schemaVersion: 1, seed: Number(values.seed), ...summary, each: kills, found: faults }, null, 2)}\n`,
      );
    }
    if (faults.length > 0) process.exitCode = 1;
  } finally {
    workshop.close();
  }
}
