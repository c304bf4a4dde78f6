import { setTimeout as sleep } from "node:timers/promises";
import { MemoryCopy, type Reading, readLive } from "./memory.ts";
import { ownSums, SumsThread } from "./sums.ts";
import { type PlannedCheckpoint, writeCheckpoint } from "./write.ts";

/** Copies may take this share of the memory that is free, to the machine and to the container. */
const COPY_SHARE = 0.25;
/** From here on the checksums have a thread of their own: they would take 15 ms of training's, about what starting one does. */
const THREAD_BYTES = 16 * 2 ** 20;

const bytesOf = ({ memory }: PlannedCheckpoint): number => memory.reduce((sum, { byteLength }) => sum + byteLength, 0);

/** Who hears of checkpoints that are written. */
export interface SaverContext {
  /** Called when a checkpoint's files are on disk; it gets its name once what was reported before is, too. */
  flush(): Promise<void>;
  /** Called when it is whole, on disk and synced. */
  report(event: { readonly type: "checkpoint"; readonly step: number; readonly path: string }): Promise<void>;
}

/**
 * Writes checkpoints beside training: the tensors that they hold are copied, and
 * encoding, checksums, writing and syncing happen while updates go on. The copy's
 * memory is kept for the next one. Where a copy does not fit into memory, training
 * waits for the disk. One at a time.
 */
export class CheckpointSaver {
  readonly #context: SaverContext;
  readonly #copy = new MemoryCopy();
  #pending: Promise<void> | null = null;
  #isWriting = false;
  #failure: { readonly error: unknown } | null = null;

  constructor(context: SaverContext) {
    this.#context = context;
  }

  /**
   * Starts writing a checkpoint; when this resolves, what it is made of may change.
   *
   * @throws what went wrong with the one before
   */
  async save(planned: PlannedCheckpoint): Promise<void> {
    await this.settle();
    if (this.#fits(planned)) {
      this.#pending = this.#write(planned, this.#copy.take(planned.memory), bytesOf(planned) >= THREAD_BYTES);
    } else {
      this.#copy.release();
      await this.#write(planned, readLive, false);
    }
    this.check();
  }

  /** What is held already counts as free. */
  #fits(planned: PlannedCheckpoint): boolean {
    return bytesOf(planned) <= COPY_SHARE * (process.availableMemory() + this.#copy.bytes);
  }

  async #write(planned: PlannedCheckpoint, read: Reading, hasThread: boolean): Promise<void> {
    const thread = hasThread ? new SumsThread() : null;
    this.#isWriting = true;
    try {
      const verify = async (folder: string): Promise<void> => {
        await planned.verify(folder);
        await this.#context.flush();
      };
      const path = await writeCheckpoint({ ...planned, verify }, { read, sums: thread ?? ownSums });
      await this.#context.report({ type: "checkpoint", step: planned.state.step, path });
    } catch (error) {
      this.#failure = { error };
    } finally {
      this.#isWriting = false;
      await thread?.close();
    }
  }

  /**
   * Lets what is being written go on for up to so long. Every write, sync and rename needs a turn of this thread, and an update
   * gives it one for each graph that it runs: a checkpoint that has no other turns is late by as many updates as it has calls.
   */
  async advance(milliseconds: number): Promise<void> {
    if (!this.#isWriting) return;
    const enough = new AbortController();
    const wait = sleep(milliseconds, undefined, { signal: enough.signal }).catch(() => undefined);
    await Promise.race([this.#pending, wait]);
    enough.abort();
  }

  /** Waits for what is being written. @throws what went wrong with it */
  async settle(): Promise<void> {
    await this.#pending;
    this.#pending = null;
    this.check();
  }

  /** @throws what has gone wrong so far, without waiting */
  check(): void {
    const failure = this.#failure;
    this.#failure = null;
    if (failure !== null) throw failure.error;
  }

  /** Finishes what is being written, however it ends: a run that has failed gives its lock and its thread back after that. */
  async close(): Promise<void> {
    await this.#pending;
    this.#copy.release();
  }
}
