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

/** Held-out loss of one set, first and last. */
export interface LossChange {
  readonly dataset: string;
  readonly before: number;
  readonly after: number;
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

/** The part of a summary that files say, without asking whether a process is alive. */
export type StoredSummary = Omit<RunSummary, "name" | "path">;

function numberOf(value: unknown): number | null {
  return typeof value === "number" ? value : null;
}

/** Held-out losses before the first and after the last update. */
export function lossChanges(events: readonly RunEvent[]): LossChange[] {
  const found = new Map<string, LossChange>();
  for (const { type, dataset, loss } of events) {
    if (type !== "evaluation" || typeof dataset !== "string" || typeof loss !== "number") continue;
    found.set(dataset, { dataset, before: found.get(dataset)?.before ?? loss, after: loss });
  }
  return [...found.values()];
}

/** How the log ends: by a last word, or without one. */
function endOf(events: readonly RunEvent[]): { readonly state: RunState; readonly failure: string | null } {
  const last = events.findLast(({ type }) => ["started", "resumed", "finished", "failed"].includes(type));
  if (last?.type === "finished") return { state: "finished", failure: null };
  if (last?.type !== "failed") return { state: "dead", failure: null };
  const failure = String(last["code"]);
  return { state: failure === "INTERRUPTED" ? "interrupted" : "failed", failure };
}

function outputOf(path: string): string | null {
  const names = [RUN_FILES.adapter, RUN_FILES.model];
  return names.find((name) => statSync(join(path, name), { throwIfNoEntry: false })?.isDirectory()) ?? null;
}

function logNotes({ unreadable, gaps }: RunEvents): string[] {
  const lines = unreadable.length === 0 ? [] : [`${unreadable.length} lines of ${RUN_FILES.events} could not be read`];
  return [...lines, ...gaps.map(([first, last]) => `updates ${first} to ${last} are not in ${RUN_FILES.events}`)];
}

function summaryOf(path: string, { id, kind, createdAt, parent }: RunRecord, log: RunEvents | null): StoredSummary {
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
    output: outputOf(path),
    parent: parent?.run ?? parent?.adapter ?? null,
    notes: log === null ? [] : logNotes(log),
  };
}

/** Reads what a list says of a run, from its files. A run that cannot be read is one with that state, and a note. */
export async function readSummary(path: string): Promise<StoredSummary> {
  try {
    return summaryOf(path, await readRunRecord(path), await readEventsIfAny(path));
  } catch (error) {
    if (!isHeirloomError(error)) throw error;
    const empty = { kind: null, step: 0, steps: null, loss: null, evaluations: [], output: null, parent: null } as const;
    return { id: "", createdAt: "", state: "unreadable", failure: error.code, ...empty, notes: [error.message] };
  }
}

/** A summary with its place, and whether the run is being worked on at this moment. */
export function presentSummary(name: string, path: string, stored: StoredSummary, locked: boolean): RunSummary {
  const id = stored.id === "" ? name : stored.id;
  const holder = locked ? lockHolder(path) : null;
  const isRunning = holder !== null && holder.state !== "dead";
  return { name, path, ...stored, id, ...(isRunning ? { state: "running", failure: null } : {}) };
}
