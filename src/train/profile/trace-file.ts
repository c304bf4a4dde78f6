import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import { HeirloomError } from "../../core/index.ts";
import { writeError } from "../../core/node/index.ts";

/** Bytes that are collected before they are written: one write in some 500 events. */
const BUFFER_BYTES = 64 * 1024;
/** Events that a file takes: about 150 MB, which Perfetto and chrome://tracing still open. */
const MAX_TRACE_EVENTS = 1_000_000;

/**
 * An event of the Chrome trace event format: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU.
 * `X` is complete (ts, dur), `C` a counter, `M` names a thread, `i` an instant.
 */
export interface TraceEvent {
  readonly name: string;
  readonly ph: "X" | "C" | "M" | "i";
  /** Microseconds. */
  readonly ts?: number;
  readonly dur?: number;
  readonly cat?: string;
  readonly tid: number;
  readonly args?: Readonly<Record<string, unknown>>;
}

function open(path: string): number {
  try {
    return openSync(path, "wx");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : null;
    if (code === "EEXIST") {
      throw new HeirloomError("OUTPUT_EXISTS", "expected a name that is free for the trace, found something there already", {
        where: path,
        hint: "name another file with --profile=FILE, or move this one away",
      });
    }
    if (code === "ENOENT") throw new HeirloomError("WRITE_FAILED", "there is no such folder", { where: path, cause: error });
    throw writeError(error, path);
  }
}

/**
 * A trace on disk, written as it comes, in the format's array form: a file whose process was killed still opens.
 * A disk that fails ends the trace and not the training.
 */
export class TraceFile {
  readonly path: string;
  readonly #handle: number;
  readonly #most: number;
  #lines = "[\n";
  #hasEvents = false;
  #written = 0;
  #leftOut = 0;
  #fault: string | null = null;

  /** @throws OUTPUT_EXISTS, WRITE_FAILED */
  constructor(path: string, most = MAX_TRACE_EVENTS) {
    this.path = path;
    this.#most = most;
    this.#handle = open(path);
  }

  get events(): number {
    return this.#written;
  }

  /** Events that came after the file was full, or after its disk had failed. */
  get leftOut(): number {
    return this.#leftOut;
  }

  get fault(): string | null {
    return this.#fault;
  }

  /** @param always true: however full the file is */
  add(event: TraceEvent, always = false): void {
    if (this.#fault !== null || (this.#written >= this.#most && !always)) {
      this.#leftOut++;
      return;
    }
    this.#written++;
    this.#lines += `${this.#hasEvents ? ",\n" : ""}${JSON.stringify({ pid: 1, ...event })}`;
    this.#hasEvents = true;
    if (this.#lines.length >= BUFFER_BYTES) this.#flush();
  }

  #flush(): void {
    try {
      const bytes = Buffer.from(this.#lines);
      for (let done = 0; done < bytes.length; ) done += writeSync(this.#handle, bytes, done);
    } catch (error) {
      this.#fault = writeError(error, this.path).message;
    }
    this.#lines = "";
  }

  /** Takes it away: there is nothing to tell. */
  discard(): void {
    closeSync(this.#handle);
    rmSync(this.path, { force: true });
  }

  close(): void {
    if (this.#fault === null) {
      this.#lines += "\n]\n";
      this.#flush();
    }
    closeSync(this.#handle);
  }
}
