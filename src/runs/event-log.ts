import { type FileHandle, mkdir, open } from "node:fs/promises";
import { dirname } from "node:path";
import { writeError } from "../core/node/index.ts";

/** Events kept in memory before they are written; `flush` and `close` write the rest. */
const BUFFERED_EVENTS = 64;

/** Longest line looked for when a log is opened; events are far shorter. */
const TAIL_BYTES = 1024 * 1024;
const LINE_FEED = 0x0a;

/** Ends a log at its last whole line. */
async function cutTornLine(handle: FileHandle): Promise<void> {
  const { size } = await handle.stat();
  const tail = Buffer.alloc(Math.min(size, TAIL_BYTES));
  await handle.read(tail, 0, tail.length, size - tail.length);
  const end = size - tail.length + tail.lastIndexOf(LINE_FEED) + 1;
  if (end < size) await handle.truncate(end);
}

/** Append-only JSON Lines: one event a line, whole lines only. */
export class EventLog {
  readonly #path: string;
  readonly #handle: FileHandle;
  readonly #lines: string[] = [];

  private constructor(path: string, handle: FileHandle) {
    this.#path = path;
    this.#handle = handle;
  }

  /** Opens a log for appending; makes it and its folder if need be. A last line that a crash cut short is taken off. */
  static async open(path: string): Promise<EventLog> {
    try {
      await mkdir(dirname(path), { recursive: true });
      const handle = await open(path, "a+");
      await cutTornLine(handle);
      return new EventLog(path, handle);
    } catch (error) {
      throw writeError(error, path);
    }
  }

  /** Appends an event with the time it happened. */
  async append<Event extends { readonly type: string }>(event: Event, time: Date): Promise<void> {
    this.#lines.push(`${JSON.stringify({ time: time.toISOString(), ...event })}\n`);
    if (this.#lines.length >= BUFFERED_EVENTS) await this.#write();
  }

  async #write(): Promise<void> {
    const count = this.#lines.length;
    try {
      if (count > 0) await this.#handle.appendFile(this.#lines.join(""));
      this.#lines.splice(0, count);
    } catch (error) {
      throw writeError(error, this.#path);
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
    try {
      await this.flush();
    } finally {
      await this.#handle.close();
    }
  }
}
