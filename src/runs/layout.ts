import { readdir, rename } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileError, sweepTemporaries } from "../core/node/index.ts";

/** File and folder names inside a run, as Trainer and PEFT name them where they do. */
export const RUN_FILES = {
  record: "run.json",
  events: "events.jsonl",
  result: "result.json",
  lock: "run.lock",
  adapter: "adapter",
  /** Weights that a gate did not let through, in place of the adapter. */
  rejected: "rejected",
  model: "model",
} as const;

const CHECKPOINT = /^checkpoint-(\d+)$/;

/** `checkpoint-<step>`, Trainer's name. */
export function checkpointFolder(run: string, step: number): string {
  return join(run, `checkpoint-${step}`);
}

/** The step in a checkpoint folder's name, or null. */
export function checkpointStep(path: string): number | null {
  const match = CHECKPOINT.exec(basename(path));
  return match === null ? null : Number(match[1]);
}

/** The whole checkpoints of a run, oldest first. A folder that is still being written has another name. */
export async function listCheckpoints(run: string): Promise<{ step: number; path: string }[]> {
  let names: string[];
  try {
    names = await readdir(run);
  } catch (error) {
    throw fileError(error, run);
  }
  const found = names.flatMap((name) => {
    const step = checkpointStep(name);
    return step === null ? [] : [{ step, path: join(run, name) }];
  });
  return found.sort((a, b) => a.step - b.step);
}

/** A new run's id: sortable by time, unique enough for one store: `2026-11-24T18-30-05-3f9a`. */
export function newRunId(now: Date, random: () => number = Math.random): string {
  const time = now.toISOString().slice(0, 19).replaceAll(":", "-");
  const suffix = Math.floor(random() * 0x10000)
    .toString(16)
    .padStart(4, "0");
  return `${time}-${suffix}`;
}

/** Something that was taken out of its place. */
export interface SetAside {
  /** Where it was. */
  readonly from: string;
  /** Where it is kept. */
  readonly to: string;
}

/**
 * Takes checkpoints beyond `step` out of a run's line when it is resumed from an
 * earlier one: they belong to a branch that is left. Nothing is deleted.
 */
export async function setAsideLater(run: string, step: number): Promise<SetAside[]> {
  const later = (await listCheckpoints(run)).filter((checkpoint) => checkpoint.step > step);
  const moved: SetAside[] = [];
  for (const { path } of later) moved.push(await setAside(path));
  return moved;
}

const ASIDE = ".abandoned-";

async function setAside(from: string): Promise<SetAside> {
  const to = `${from}${ASIDE}${Date.now()}`;
  await rename(from, to);
  return { from, to };
}

/** What was set aside of the place `path`, the latest first; none if the folder around it is not there. */
export async function keptAside(path: string): Promise<string[]> {
  const names = await readdir(dirname(path)).catch(() => []);
  const kept = names.filter((name) => name.startsWith(`${basename(path)}${ASIDE}`)).sort();
  return kept.reverse().map((name) => join(dirname(path), name));
}

/**
 * Takes the end of a run that goes on after all out of its place: final weights and
 * result are those of updates that are no longer the last. Nothing is deleted.
 */
export async function setAsideEnd(run: string): Promise<SetAside[]> {
  const names = new Set(await readdir(run));
  const moved: SetAside[] = [];
  for (const name of [RUN_FILES.adapter, RUN_FILES.model, RUN_FILES.rejected, RUN_FILES.result]) {
    if (names.has(name)) moved.push(await setAside(join(run, name)));
  }
  return moved;
}

/**
 * Clears what a crash left in a run's folder, and puts a checkpoint back that was
 * set aside for one that never came. Only for the holder of the run's lock.
 *
 * @throws WRITE_FAILED
 */
export async function sweepRun(run: string): Promise<void> {
  // Another process may be about to ask for the lock: what it writes for that is its own.
  await sweepTemporaries(run, (name) => name.startsWith(`.${RUN_FILES.lock}.`));
}
