import { type FileHandle, mkdir, open } from "node:fs/promises";
import { dirname } from "node:path";
import { writeError } from "../core/node/index.ts";

/** Events kept in memory before they are written; `flush` and `close` write the rest. */
const BUFFERED_EVENTS = 64;

/** Append-only JSON Lines: one event a line, whole lines only. */
export class EventLog {
  readonly #path: string;
  readonly #handle: FileHandle;
  #lines: string[] = [];

  private constructor(path: string, handle: FileHandle) {
    this.#path = path;
    this.#handle = handle;
  }

  /** Opens a log for appending; makes it and its folder if need be. */
  static async open(path: string): Promise<EventLog> {
    try {
      await mkdir(dirname(path), { recursive: true });
      return new EventLog(path, await open(path, "a"));
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
    const text = this.#lines.join("");
    this.#lines = [];
    try {
      if (text !== "") await this.#handle.appendFile(text);
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
