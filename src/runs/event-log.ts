import { fstatSync, ftruncateSync, writeSync } from "node:fs";
import { type FileHandle, mkdir, open } from "node:fs/promises";
import { dirname } from "node:path";
import { HeirloomError } from "../core/index.ts";
import { writeError } from "../core/node/index.ts";

/** Version of the form of events.jsonl, in its first line. */
export const LOG_SCHEMA_VERSION = 1;
/** `type` of the first line. */
export const LOG_HEADER = "log";

/** Bytes kept in memory before they are written. */
const BUFFER_BYTES = 64 * 1024;
/** The longest that an event waits in memory, so that whoever follows the file sees slow runs move. */
const DELAY_MS = 200;
/** How a log's end is looked for when it is opened. */
const CHUNK_BYTES = 64 * 1024;
const LINE_FEED = 0x0a;
/** At the process's end, a write under way is given this long; a page of memory takes microseconds. */
const EXIT_WAIT_MS = 5;
const EXIT_WAITS = 40;

/** Ends a log at its last whole line; returns its size then. */
async function cutTornLine(handle: FileHandle): Promise<number> {
  const { size } = await handle.stat();
  let end = size;
  while (end > 0) {
    const chunk = Buffer.alloc(Math.min(end, CHUNK_BYTES));
    await handle.read(chunk, 0, chunk.length, end - chunk.length);
    const last = chunk.lastIndexOf(LINE_FEED);
    end -= last < 0 ? chunk.length : chunk.length - last - 1;
    if (last >= 0) break;
  }
  if (end < size) await handle.truncate(end);
  return end;
}

const openLogs = new Set<EventLog>();

/** What is still in memory when a process ends in order. */
function writeRest(): void {
  for (const log of openLogs) log.writeNow();
}

/**
 * Append-only JSON Lines: one event a line, whole lines only. Events are kept in
 * memory for a moment, written together, and forced to the disk by `flush`; what
 * is in memory when the process ends in order is written then.
 */
export class EventLog {
  readonly #path: string;
  readonly #handle: FileHandle;
  /** Size of the file up to its last whole line of ours. */
  #size: number;
  #lines: string[] = [];
  #bytes = 0;
  #writing: Promise<void> | null = null;
  /** Size that the file has once the write under way is done. */
  #sizeAfter: number;
  #timer: NodeJS.Timeout | null = null;
  /** Whether the last write that nobody waited for failed. */
  #hasUntoldFault = false;

  private constructor(path: string, handle: FileHandle, size: number) {
    this.#path = path;
    this.#handle = handle;
    this.#size = size;
    this.#sizeAfter = size;
    if (openLogs.size === 0) process.on("exit", writeRest);
    openLogs.add(this);
  }

  /** Opens a log for appending; makes it and its folder if need be. A last line that a crash cut short is taken off. */
  static async open(path: string): Promise<EventLog> {
    let handle: FileHandle | null = null;
    try {
      await mkdir(dirname(path), { recursive: true });
      handle = await open(path, "a+");
      const log = new EventLog(path, handle, await cutTornLine(handle));
      if (log.#size === 0) await log.append({ type: LOG_HEADER, schemaVersion: LOG_SCHEMA_VERSION }, new Date());
      return log;
    } catch (error) {
      await handle?.close().catch(() => undefined); // the first fault is what is told
      throw error instanceof HeirloomError ? error : writeError(error, path);
    }
  }

  /** Appends an event with the time it happened. @throws WRITE_FAILED, DISK_FULL, also of an event before it */
  async append<Event extends { readonly type: string }>(event: Event, time: Date): Promise<void> {
    const line = `${JSON.stringify({ time: time.toISOString(), ...event })}\n`;
    this.#lines.push(line);
    this.#bytes += line.length;
    if (this.#bytes >= BUFFER_BYTES || this.#hasUntoldFault) await this.#write();
    else this.#timer ??= this.#later();
  }

  #later(): NodeJS.Timeout {
    // Never keeps a process alive: at its end, what is in memory is written anyway.
    // A fault is told by the next append, which tries again.
    const timer = setTimeout(() => {
      this.#timer = null;
      this.#write().catch(() => {
        this.#hasUntoldFault = true;
      });
    }, DELAY_MS);
    return timer.unref();
  }

  /** Writes what is in memory; one write at a time, so that lines stay in order. */
  async #write(): Promise<void> {
    while (this.#writing !== null) await this.#writing.catch(() => undefined);
    if (this.#lines.length === 0) return;
    this.#writing = this.#writeLines();
    try {
      await this.#writing;
    } finally {
      this.#writing = null;
    }
  }

  async #writeLines(): Promise<void> {
    const count = this.#lines.length;
    const bytes = Buffer.from(this.#lines.join(""));
    this.#sizeAfter = this.#size + bytes.length;
    try {
      let done = 0;
      while (done < bytes.length) done += (await this.#handle.write(bytes, done)).bytesWritten;
      this.#size = this.#sizeAfter;
      this.#hasUntoldFault = false;
      this.#dropWritten(count);
    } catch (error) {
      this.#sizeAfter = this.#size;
      // The lines stay in memory for another try; half a line must not stay in the file before them.
      await this.#handle.truncate(this.#size).catch(() => undefined);
      throw writeError(error, this.#path);
    }
  }

  #dropWritten(count: number): void {
    this.#lines = this.#lines.slice(count);
    this.#bytes = this.#lines.reduce((sum, line) => sum + line.length, 0);
  }

  /** Writes what is in memory without waiting for anything; for the end of the process only. */
  writeNow(): void {
    const { fd } = this.#handle;
    try {
      let written = 0;
      if (this.#writing !== null) {
        for (let wait = 0; wait < EXIT_WAITS && fstatSync(fd).size < this.#sizeAfter; wait++)
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, EXIT_WAIT_MS);
        written = fstatSync(fd).size >= this.#sizeAfter ? this.#sizeAfter - this.#size : 0;
        if (written === 0) ftruncateSync(fd, this.#size);
      }
      const rest = Buffer.from(this.#lines.join("")).subarray(written);
      for (let done = 0; done < rest.length; ) done += writeSync(fd, rest, done);
    } catch {
      // The process is ending: there is nobody left to tell.
    }
  }

  /** Everything appended so far is on the disk when this resolves. */
  async flush(): Promise<void> {
    await this.#write();
    try {
      await this.#handle.sync();
    } catch (error) {
      throw writeError(error, this.#path);
    }
  }

  async close(): Promise<void> {
    if (!openLogs.has(this)) return;
    try {
      await this.flush();
    } finally {
      if (this.#timer !== null) clearTimeout(this.#timer);
      openLogs.delete(this);
      if (openLogs.size === 0) process.off("exit", writeRest);
      await this.#handle.close();
    }
  }
}
