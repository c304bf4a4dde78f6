import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { HeirloomError, isHeirloomError } from "../core/index.ts";
import { fileError } from "../core/node/index.ts";
import { LOG_HEADER, LOG_SCHEMA_VERSION } from "./event-log.ts";
import { RUN_FILES } from "./layout.ts";

const CHUNK_BYTES = 1024 * 1024;
const LINE_FEED = 0x0a;
/** How often a followed file is looked at; its writer holds events back for about as long. */
const POLL_MS = 100;

/** One line of events.jsonl; the fields beside these depend on the type. */
export interface RunEvent {
  readonly time: string;
  readonly type: string;
  readonly step?: number;
  readonly [field: string]: unknown;
}

/** An event of a followed log, and where its line ends: the place to go on from later. */
export interface TailedEvent {
  readonly event: RunEvent;
  readonly end: number;
}

/** What happened in a run, told once. */
export interface RunEvents {
  /** In order; of a step that ran twice, the last run of it. */
  readonly events: readonly RunEvent[];
  /** Events that a resumed run made anew and that are left out. */
  readonly superseded: number;
  /** Line numbers (1-based) that could not be read; a last line that is still being written is not among them. */
  readonly unreadable: readonly number[];
  /** Whether the file ends within a line: being written now, or cut short by a crash. */
  readonly torn: boolean;
  /** Updates of which there is no line, first and last of each gap: they were still in memory when the process was killed. */
  readonly gaps: readonly (readonly [first: number, last: number])[];
}

function isEvent(value: unknown): value is RunEvent {
  return typeof value === "object" && value !== null && "type" in value && typeof value.type === "string";
}

/** The event of a line; null if it is none; undefined for the first line of a log, which is about its form. */
function parseEvent(line: string, path: string): RunEvent | null | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return null;
  }
  if (!isEvent(value)) return null;
  if (value.type !== LOG_HEADER) return value;
  const version = value["schemaVersion"];
  if (version === LOG_SCHEMA_VERSION) return undefined;
  throw new HeirloomError("RECORD_INVALID", `expected an event log of schemaVersion ${LOG_SCHEMA_VERSION}, found ${String(version)}`, {
    where: path,
    hint: "it was written by a later heirloom; update this one",
  });
}

interface Line {
  readonly text: string;
  /** Offset of the byte after its line end. */
  readonly end: number;
}

/** Reads whole lines from where it stands to the end of the file as it is now; stands after the last whole line then. */
class LineReader {
  readonly #handle: FileHandle;
  readonly #buffer = Buffer.alloc(CHUNK_BYTES);
  #offset: number;
  /** Whether the file went on after the last whole line when it was last read. */
  isTorn = false;

  constructor(handle: FileHandle, offset: number) {
    this.#handle = handle;
    this.#offset = offset;
  }

  async *lines(): AsyncGenerator<Line> {
    // Only torn lines are ever cut off, and those were not read: a file that is shorter was made anew.
    if ((await this.#handle.stat()).size < this.#offset) this.#offset = 0;
    // A torn line is read again next time: a resumed run may have put another in its place.
    let rest = Buffer.alloc(0);
    for (;;) {
      const { bytesRead } = await this.#handle.read(this.#buffer, 0, CHUNK_BYTES, this.#offset + rest.length);
      this.isTorn = rest.length > 0;
      if (bytesRead === 0) return;
      const bytes = Buffer.concat([rest, this.#buffer.subarray(0, bytesRead)]);
      let from = 0;
      for (let at = bytes.indexOf(LINE_FEED); at >= 0; at = bytes.indexOf(LINE_FEED, from)) {
        const text = bytes.toString("utf8", from, at);
        this.#offset += at + 1 - from;
        from = at + 1;
        yield { text, end: this.#offset };
      }
      rest = bytes.subarray(from);
    }
  }
}

/** Whether an event happens once for each step (and data set), so that a later one takes its place. */
function onceKey({ type, step, dataset }: RunEvent): string | null {
  const counted = ["step", "evaluation", "checkpoint", "liveness", "finished"].includes(type);
  return counted ? `${type} ${String(step)} ${String(dataset)}` : null;
}

/** What of the events before it a resumption from `fromStep` leaves standing. */
function upToStep(events: readonly RunEvent[], fromStep: number): RunEvent[] {
  const isOfProgress = ({ type, step }: RunEvent): boolean =>
    (type === "step" || type === "checkpoint") && step !== undefined && step <= fromStep;
  const last = events.findLastIndex(isOfProgress);
  const before = last < 0 ? events : events.slice(0, last + 1);
  return before.filter(({ step }) => step === undefined || step <= fromStep);
}

/** The events as they count: at each resumption, what came after the step resumed from is taken back. */
function withoutSuperseded(events: readonly RunEvent[]): RunEvent[] {
  let kept: RunEvent[] = [];
  for (const event of events) {
    if (event.type === "resumed") kept = upToStep(kept, Number(event["fromStep"]));
    kept.push(event);
  }
  const keys = kept.map((event, index) => onceKey(event) ?? `#${index}`);
  const lastOf = new Map(keys.map((key, index) => [key, index]));
  return kept.filter((_, index) => lastOf.get(keys[index] ?? "") === index);
}

/** The first update that a log should have: a run that goes on with another trainer's does not begin at 1. */
function firstUpdate(events: readonly RunEvent[]): number {
  const first = events.find(({ type }) => type === "started" || type === "resumed");
  // A log that begins with a resumption has lost its beginning: updates before that are missing, not another's.
  const from = first?.type === "started" ? first["fromStep"] : 0;
  return typeof from === "number" ? from + 1 : 1;
}

function gapsOf(events: readonly RunEvent[]): [number, number][] {
  const gaps: [number, number][] = [];
  let next = firstUpdate(events);
  for (const { type, step } of events) {
    if (type !== "step" || step === undefined) continue;
    if (step > next) gaps.push([next, step - 1]);
    next = step + 1;
  }
  return gaps;
}

/**
 * Reads what happened in a run. Steps that ran twice, because a run was resumed
 * from before them, are told once: as they ran last. Nothing is left out in silence.
 *
 * @param run folder of a run
 * @throws FILE_MISSING; RECORD_INVALID for a log of a later version
 */
export async function readEvents(run: string): Promise<RunEvents> {
  const path = join(run, RUN_FILES.events);
  const handle = await open(path, "r").catch((error: unknown) => {
    throw fileError(error, path);
  });
  try {
    const reader = new LineReader(handle, 0);
    const all: RunEvent[] = [];
    const unreadable: number[] = [];
    let number = 0;
    for await (const { text } of reader.lines()) {
      number++;
      const event = parseEvent(text, path);
      if (event === null) unreadable.push(number);
      else if (event !== undefined) all.push(event);
    }
    const events = withoutSuperseded(all);
    return { events, superseded: all.length - events.length, unreadable, torn: reader.isTorn, gaps: gapsOf(events) };
  } finally {
    await handle.close();
  }
}

/** As {@link readEvents}; null if nothing was logged yet. @throws RECORD_INVALID */
export async function readEventsIfAny(run: string): Promise<RunEvents | null> {
  try {
    return await readEvents(run);
  } catch (error) {
    if (isHeirloomError(error) && error.code === "FILE_MISSING") return null;
    throw error;
  }
}

/** How a log is followed. */
export interface TailOptions {
  /** Where to begin: an offset that {@link TailedEvent.end} gave, the start, or what comes from now on. @defaultValue "start" */
  readonly from?: number | "start" | "end";
  /** Ends the iteration. Without one, leave the loop. */
  readonly signal?: AbortSignal;
}

async function waitAWhile(signal: AbortSignal | undefined): Promise<void> {
  // An abort ends the wait, and is seen by the loop.
  await sleep(POLL_MS, undefined, signal === undefined ? {} : { signal }).catch(() => undefined);
}

async function openWhenThere(path: string, run: string, signal: AbortSignal | undefined): Promise<FileHandle | null> {
  await open(run, "r").then(
    (folder) => folder.close(),
    (error: unknown) => {
      throw fileError(error, run);
    },
  );
  while (signal?.aborted !== true) {
    try {
      return await open(path, "r");
    } catch (error) {
      if (fileError(error, path).code !== "FILE_MISSING") throw fileError(error, path);
    }
    await waitAWhile(signal);
  }
  return null;
}

/**
 * Follows a run's events as they are written, as they are written: steps that run
 * twice come twice, with `resumed` between. A line that cannot be read comes as an
 * event of type `unreadable`.
 *
 * @param run folder of a run; its log may still be to come
 * @throws FILE_MISSING if there is no such folder; RECORD_INVALID for a log of a later version
 */
export async function* tailEvents(run: string, { from = "start", signal }: TailOptions = {}): AsyncGenerator<TailedEvent> {
  const path = join(run, RUN_FILES.events);
  const isStopped = (): boolean => signal?.aborted ?? false;
  const handle = await openWhenThere(path, run, signal);
  if (handle === null) return;
  try {
    const reader = new LineReader(handle, typeof from === "number" ? from : 0);
    // "end" is that of the last whole line: the file may end within one.
    if (from === "end") for await (const { text } of reader.lines()) parseEvent(text, path);
    while (!isStopped()) {
      for await (const { text, end } of reader.lines()) {
        const event = parseEvent(text, path);
        if (event !== undefined) yield { event: event ?? { time: "", type: "unreadable", text }, end };
        if (isStopped()) return;
      }
      await waitAWhile(signal);
    }
  } finally {
    await handle.close();
  }
}
