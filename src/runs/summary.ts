import { statSync } from "node:fs";
import { join } from "node:path";
import { isHeirloomError } from "../core/index.ts";
import { RUN_FILES } from "./layout.ts";
import { type RunEvent, type RunEvents, readEventsIfAny } from "./read-events.ts";
import { type RunRecord, readRunRecord } from "./record.ts";
import { lockHolder } from "./run-lock.ts";

/**
 * How a run stands. `interrupted`: stopped with a checkpoint (Ctrl-C); `failed`:
 * ended by an error; `dead`: its process ended without a word, by kill or power
 * cut; `unreadable`: its record cannot be read.
 */
export type RunState = "running" | "finished" | "failed" | "interrupted" | "dead" | "unreadable";

/** Every state, in the order of the help. */
export const RUN_STATES: readonly RunState[] = ["running", "finished", "failed", "interrupted", "dead", "unreadable"];

/** Held-out loss of one set, first and last; `after` is null where it was measured only once. */
export interface LossChange {
  readonly dataset: string;
  readonly before: number;
  readonly after: number | null;
}

/** What a list says of a run. */
export interface RunSummary {
  /** Folder name; the id, unless the folder was renamed. */
  readonly name: string;
  readonly path: string;
  readonly id: string;
  readonly kind: "train" | "continue" | null;
  readonly createdAt: string;
  readonly state: RunState;
  /** Code of the error that ended it; null if none did. */
  readonly failure: string | null;
  /** When it said its last word; null if it did not. */
  readonly endedAt: string | null;
  /** Updates made, and those of the whole run; null before the first is planned. */
  readonly step: number;
  readonly steps: number | null;
  /** Loss of the last update. */
  readonly loss: number | null;
  readonly evaluations: readonly LossChange[];
  /** Folder of the final adapter (or model), inside the run; null while there is none. */
  readonly output: string | null;
  /** The run whose adapter was continued: its id, or the adapter's path if no run is known. */
  readonly parent: string | null;
  /** What could not be read. */
  readonly notes: readonly string[];
}

/** The part of a summary that record and log say, without asking whether a process is alive and what the run made is there. */
export type StoredSummary = Omit<RunSummary, "name" | "path" | "output">;

function numberOf(value: unknown): number | null {
  return typeof value === "number" ? value : null;
}

/** Held-out losses before the first and after the last update. */
export function lossChanges(events: readonly RunEvent[]): LossChange[] {
  const found = new Map<string, LossChange>();
  for (const { type, dataset, loss } of events) {
    if (type !== "evaluation" || typeof dataset !== "string" || typeof loss !== "number") continue;
    const first = found.get(dataset);
    found.set(dataset, first === undefined ? { dataset, before: loss, after: null } : { ...first, after: loss });
  }
  return [...found.values()];
}

/** How the log ends: by a last word, or without one. */
function endOf(events: readonly RunEvent[]): Pick<RunSummary, "state" | "failure" | "endedAt"> {
  const last = events.findLast(({ type }) => ["started", "resumed", "finished", "failed"].includes(type));
  if (last?.type === "finished") return { state: "finished", failure: null, endedAt: last.time };
  if (last?.type !== "failed") return { state: "dead", failure: null, endedAt: null };
  const failure = String(last["code"]);
  return { state: failure === "INTERRUPTED" ? "interrupted" : "failed", failure, endedAt: last.time };
}

function outputOf(path: string): string | null {
  const names = [RUN_FILES.adapter, RUN_FILES.model];
  return names.find((name) => statSync(join(path, name), { throwIfNoEntry: false })?.isDirectory()) ?? null;
}

function logNotes({ unreadable, gaps }: RunEvents): string[] {
  const lines = unreadable.length === 0 ? [] : [`${unreadable.length} lines of ${RUN_FILES.events} could not be read`];
  return [...lines, ...gaps.map(([first, last]) => `updates ${first} to ${last} are not in ${RUN_FILES.events}`)];
}

function summaryOf({ id, kind, createdAt, parent }: RunRecord, log: RunEvents | null): StoredSummary {
  const events = log?.events ?? [];
  const last = events.findLast(({ type }) => type === "step");
  return {
    id,
    kind,
    createdAt,
    ...endOf(events),
    step: numberOf(last?.step) ?? 0,
    steps: numberOf(events.findLast(({ type }) => type === "started")?.["steps"]),
    loss: numberOf(last?.["loss"]),
    evaluations: lossChanges(events),
    parent: parent?.run ?? parent?.adapter ?? null,
    notes: log === null ? [] : logNotes(log),
  };
}

/** Reads what a list says of a run, from its files. A run that cannot be read is one with that state, and a note. */
export async function readSummary(path: string): Promise<StoredSummary> {
  try {
    return summaryOf(await readRunRecord(path), await readEventsIfAny(path));
  } catch (error) {
    if (!isHeirloomError(error)) throw error;
    const empty = { kind: null, step: 0, steps: null, loss: null, evaluations: [], parent: null, endedAt: null } as const;
    return { id: "", createdAt: "", state: "unreadable", failure: error.code, ...empty, notes: [error.message] };
  }
}

type Holder = NonNullable<ReturnType<typeof lockHolder>>;

/** How the run stands, given who holds its lock: the log of a process that was killed before its first event still ends with the word before it. */
function stateNow({ state, endedAt }: StoredSummary, found: Holder | null): Partial<RunSummary> {
  if (found === null) return {};
  if (found.state !== "dead") return { state: "running", failure: null, endedAt: null };
  const wentOn = (state === "interrupted" || state === "failed") && endedAt !== null && found.holder.since > endedAt;
  return wentOn ? { state: "dead", failure: null, endedAt: null } : {};
}

/** A summary with its place, whether the run is being worked on at this moment, and what it made, if that is there. */
export function presentSummary(name: string, path: string, stored: StoredSummary, locked: boolean): RunSummary {
  const id = stored.id === "" ? name : stored.id;
  return { name, path, ...stored, id, output: outputOf(path), ...stateNow(stored, locked ? lockHolder(path) : null) };
}
