// Kills the built program again and again while it trains and resumes one run, until that run ends all the same.
import { existsSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { InternalError, isHeirloomError, type RandomStream } from "../../src/core/index.ts";
import { readEvents } from "../../src/runs/index.ts";
import { keptFiles } from "../../src/train/fixtures/run-files.ts";
import type { TinyWorkshop } from "../../src/train/fixtures/tiny-run.ts";
import { resume } from "../../src/train/index.ts";
import { type DiaryLine, type Ended, type Moment, runKilled } from "./killed-process.ts";
import { inspectFinished, inspectKilled } from "./run-state.ts";

/** One kill and what it cost. */
export interface Kill {
  readonly moment: string;
  readonly command: "train" | "resume";
  /** Updates that were made, as the process itself noted them; those of the checkpoint it started from if it made none. */
  readonly done: number;
  /** Of the last whole checkpoint; null if there was none yet. */
  readonly checkpoint: number | null;
  readonly lost: number;
  readonly faults: readonly string[];
}

/** What an uninterrupted run did: the bytes to be met, and the moments that there are. */
export interface Reference {
  readonly kept: Readonly<Record<string, unknown>>;
  readonly losses: readonly unknown[];
  readonly ms: number;
  readonly calls: Readonly<Record<"main" | "worker", number>>;
}

/** Where the program is killed: a folder with `run.yaml`, whose runs go to `runs`. */
export interface Scene {
  readonly folder: string;
  readonly reference: Reference;
  readonly random: RandomStream;
}

const COMMAND = ["train", "-c", "run.yaml", "--quiet"];

async function lossesOf(run: string): Promise<unknown[]> {
  return (await readEvents(run)).events.filter(({ type }) => type === "step").map(({ step, loss }) => [step, loss]);
}

function onlyRun(folder: string): string | null {
  const runs = join(folder, "runs");
  const [name] = existsSync(runs) ? readdirSync(runs) : [];
  return name === undefined ? null : join(runs, name);
}

function clear(folder: string): void {
  rmSync(join(folder, "runs"), { recursive: true, force: true });
}

/** Runs it once to its end. */
export async function referenceRun(folder: string): Promise<Reference> {
  clear(folder);
  const ended = await runKilled(COMMAND, folder, join(folder, "runs"), null);
  const run = onlyRun(folder);
  if (ended.code !== 0 || run === null) throw new InternalError(`the uninterrupted run ended with ${ended.code}: ${ended.err}`);
  const count = (thread: string): number => ended.diary.filter((line) => line.thread === thread).length;
  const reference = {
    kept: keptFiles(run),
    losses: await lossesOf(run),
    ms: ended.ms,
    calls: { main: count("main"), worker: count("worker") },
  };
  clear(folder);
  return reference;
}

/** Shares of the kinds of moments, and of the run in which time is up: before the first fifth, Node is still starting. */
const TIMED_SHARE = 0.3;
const MAIN_THREAD_SHARE = 0.1;
const EARLIEST = 0.2;

/** @param left share of the run that is still to be made, so that most processes are killed before they end */
function nextMoment({ random, reference }: Scene, left: number): Moment {
  if (random.nextFloat() < TIMED_SHARE) return { kind: "time", afterMs: reference.ms * (EARLIEST + (1 - EARLIEST) * random.nextFloat()) };
  const thread = random.nextFloat() < MAIN_THREAD_SHARE ? "main" : "worker";
  const when = (["before", "half", "after"] as const)[random.nextInt(3)] ?? "before";
  return { kind: "call", thread, nth: 1 + random.nextInt(Math.ceil(reference.calls[thread] * (thread === "main" ? 1 : left))), when };
}

/** Names without what differs from run to run. */
function tellMoment(moment: Moment, diary: readonly DiaryLine[]): string {
  if (moment.kind === "time") return `after ${moment.afterMs.toFixed(0)} ms`;
  const { call = "", path = "" } = diary.findLast(({ died }) => died !== undefined) ?? {};
  const plain = path
    .split("/")
    .slice(1)
    .join("/")
    .replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, "*")
    .replaceAll(/checkpoint-\d+/g, "checkpoint-N");
  return `${moment.when} ${call} ${plain === "" ? "the run's folder" : plain}`;
}

/** Whether a run without a checkpoint is refused with the way on. */
async function refusalFaults(run: string): Promise<string[]> {
  try {
    await resume(run, {});
    return ["a run without a checkpoint was resumed"];
  } catch (error) {
    const isClear = isHeirloomError(error) && error.code === "CHECKPOINT_INVALID" && error.hint !== undefined;
    return isClear ? [] : [`a run without a checkpoint was refused with ${String(error)}`];
  }
}

async function afterKill(ended: Ended, moment: Moment, command: Kill["command"], run: string | null, before: number | null): Promise<Kill> {
  const told = tellMoment(moment, ended.diary);
  const done = ended.diary.reduce((last, { step }) => step ?? last, before ?? 0);
  if (run === null) return { moment: told, command, done, checkpoint: null, lost: done, faults: [] };
  const { checkpoint, faults } = await inspectKilled(run);
  const all = checkpoint === null ? [...faults, ...(await refusalFaults(run))] : [...faults];
  if (before !== null && (checkpoint === null || checkpoint < before)) all.push(`checkpoint ${before} was lost`);
  return { moment: told, command, done, checkpoint, lost: done - (checkpoint ?? 0), faults: all };
}

async function finishedFaults(run: string, { kept, losses }: Reference): Promise<string[]> {
  const faults = await inspectFinished(run);
  const found = keptFiles(run);
  for (const [name, expected] of Object.entries(kept))
    if (JSON.stringify(found[name]) !== JSON.stringify(expected)) faults.push(`${name} differs`);
  if (JSON.stringify(await lossesOf(run)) !== JSON.stringify(losses)) faults.push("the losses in events.jsonl differ");
  return faults;
}

/** What became of one run that was killed until it ended. */
interface Chain {
  readonly kills: readonly Kill[];
  /** What is wrong with the run at its end. */
  readonly faults: readonly string[];
}

/**
 * Starts a run and resumes it until it ends, killing it at most so often.
 *
 * @param maxKills after these it is left alone
 */
async function killChain(scene: Scene, maxKills: number, onKill: (kill: Kill) => void = () => undefined): Promise<Chain> {
  const { folder, reference } = scene;
  const kills: Kill[] = [];
  let checkpoint: number | null = null;
  clear(folder);
  for (;;) {
    const run = checkpoint === null ? null : onlyRun(folder);
    if (run === null) clear(folder);
    const left = 1 - (checkpoint ?? 0) / (reference.losses.length + 1);
    const moment = kills.length < maxKills ? nextMoment(scene, left) : null;
    const inputs = run === null ? COMMAND : ["resume", run, "--quiet"];
    const ended = await runKilled(inputs, folder, join(folder, "runs"), moment);
    const now = onlyRun(folder);
    if (!ended.killed || moment === null) {
      if (ended.code !== 0 || now === null) return { kills, faults: [`${inputs.join(" ")} ended with ${ended.code}: ${ended.err}`] };
      return { kills, faults: await finishedFaults(now, reference) };
    }
    const kill = await afterKill(ended, moment, run === null ? "train" : "resume", now, checkpoint);
    kills.push(kill);
    onKill(kill);
    checkpoint = kill.checkpoint;
  }
}

/** Writes the run file of a scene: dropout, packing, two groups, a bf16 copy, retention; with a checkpoint every third update. */
export function writeScene(workshop: TinyWorkshop): void {
  const defaults = workshop.defaults() as { training: object };
  const groups = [{ name: "head", match: ["lm_head"], learningRateRatio: 0.1 }];
  const values = {
    ...defaults,
    adapter: { rank: 4, alpha: 8, dropout: 0.1, modulesToSave: ["lm_head"], fullCopyDtype: "bf16" },
    training: { ...defaults.training, steps: 18, accumulation: 2, warmupSteps: 2, groups },
    evaluation: { everySteps: 4 },
    checkpoints: { everySteps: 3, keepLast: 2 },
  };
  writeFileSync(workshop.path("run.yaml"), JSON.stringify(values));
}

/** Kills runs, chain after chain, until so many kills are made. */
export async function killOften(
  scene: Scene,
  { kills: wanted, perRun }: { readonly kills: number; readonly perRun: number },
  onKill?: (kill: Kill) => void,
): Promise<{ readonly kills: Kill[]; readonly runs: number; readonly faults: string[] }> {
  const kills: Kill[] = [];
  const faults: string[] = [];
  let runs = 0;
  while (kills.length < wanted) {
    const chain = await killChain(scene, Math.min(perRun, wanted - kills.length), onKill);
    runs++;
    kills.push(...chain.kills);
    faults.push(...chain.faults, ...chain.kills.flatMap((kill) => kill.faults.map((fault) => `${kill.command}, ${kill.moment}: ${fault}`)));
  }
  return { kills, runs, faults };
}
