// What the folder of a finished run tells of it.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { InternalError } from "../../src/core/index.ts";
import { readRunRecord, readRunResult } from "../../src/runs/index.ts";

/** An update as events.jsonl has it. */
export interface UpdateEvent {
  readonly type: string;
  readonly step: number;
  readonly loss: number;
  readonly tokens: number;
  readonly tokensPerSecond: number;
  readonly rssBytes: number;
}

/** A run that came to its end. */
export interface FinishedRun {
  readonly run: string;
  readonly adapter: string;
  readonly banner: string;
  readonly steps: number;
  readonly tokens: number;
  readonly evaluations: readonly { readonly dataset: string; readonly before: number | null; readonly after: number }[];
  /** Each update once: of those that ran twice the last. */
  readonly updates: readonly UpdateEvent[];
}

/** The one run in a folder of runs; undefined if there is none yet. */
export function onlyRun(folder: string): string | undefined {
  let names: string[];
  try {
    names = readdirSync(folder).filter((name) => !name.startsWith("."));
  } catch {
    return undefined; // not made yet
  }
  return names[0] === undefined ? undefined : join(folder, names[0]);
}

/** Whether the folder of runs holds one that ended. */
export async function hasFinished(folder: string): Promise<boolean> {
  const run = onlyRun(folder);
  return run !== undefined && (await readRunResult(run)) !== null;
}

/** The one run in a folder of runs, which must have ended. */
export async function finishedRun(folder: string): Promise<FinishedRun> {
  const run = onlyRun(folder);
  const result = run === undefined ? null : await readRunResult(run);
  if (run === undefined || result === null) throw new InternalError(`${folder} holds no run that ended`);
  const record = await readRunRecord(run);
  const lines = readFileSync(join(run, "events.jsonl"), "utf8").trim().split("\n");
  const byStep = new Map<number, UpdateEvent>();
  for (const line of lines) {
    const event = JSON.parse(line) as UpdateEvent;
    if (event.type === "step") byStep.set(event.step, event);
  }
  const updates = [...byStep.values()];
  return {
    run,
    adapter: join(run, result.output),
    banner: record.ledger.banner,
    steps: result.steps,
    tokens: updates.reduce((sum, { tokens }) => sum + tokens, 0),
    evaluations: result.measures?.evaluations ?? [],
    updates,
  };
}
