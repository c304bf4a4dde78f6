// What must hold of a run's folder at any moment at which its process may end.
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { listCheckpoints, RUN_FILES, readEvents, readRunRecord } from "../../src/runs/index.ts";
import { checkFiles, readState } from "../../src/train/fixtures/inside.ts";

/** A run as a killed process left it. */
export interface LeftBehind {
  /** Of its last checkpoint; null if it has none. */
  readonly checkpoint: number | null;
  /** What must not be; empty if all is well. */
  readonly faults: readonly string[];
}

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

async function checkpointFaults(path: string): Promise<string[]> {
  try {
    await checkFiles(path, (await readState(path)).files);
    return [];
  } catch (error) {
    return [`a checkpoint that is not whole: ${textOf(error)}`];
  }
}

async function eventFaults(run: string, checkpoint: number | null): Promise<string[]> {
  if (!existsSync(join(run, RUN_FILES.events))) return checkpoint === null ? [] : ["no events beside a checkpoint"];
  const { events, unreadable } = await readEvents(run);
  const faults = unreadable.map((line) => `line ${line} of the events cannot be read`);
  const steps = new Set(events.flatMap(({ type, step }) => (type === "step" ? [step] : [])));
  for (let step = 1; step <= (checkpoint ?? 0); step++)
    if (!steps.has(step)) faults.push(`no event of update ${step}, before checkpoint ${checkpoint}`);
  return faults;
}

/** Looks at a run whose process was killed: every checkpoint whole, every event line whole, nothing of before the last checkpoint lost. */
export async function inspectKilled(run: string): Promise<LeftBehind> {
  const checkpoints = await listCheckpoints(run);
  const checkpoint = checkpoints.at(-1)?.step ?? null;
  const faults: string[] = [];
  for (const { path } of checkpoints) faults.push(...(await checkpointFaults(path)));
  faults.push(...(await eventFaults(run, checkpoint)));
  const hasRecord = existsSync(join(run, RUN_FILES.record));
  if (hasRecord) await readRunRecord(run).catch((error: unknown) => faults.push(textOf(error)));
  else if (checkpoint !== null) faults.push("a checkpoint without a run.json");
  return { checkpoint, faults };
}

/** What a run that came to its end must not have any more. */
export async function inspectFinished(run: string): Promise<string[]> {
  const names = readdirSync(run);
  const faults = names.filter((name) => name.startsWith(".") || name.startsWith(RUN_FILES.lock)).map((name) => `${name} is left over`);
  for (const name of [RUN_FILES.record, RUN_FILES.events, RUN_FILES.result]) if (!names.includes(name)) faults.push(`${name} is missing`);
  const { unreadable, torn, gaps } = await readEvents(run);
  if (unreadable.length > 0 || torn || gaps.length > 0) faults.push(`events: ${JSON.stringify({ unreadable, torn, gaps })}`);
  return faults;
}
