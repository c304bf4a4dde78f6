import { detachCheckpoint, type PlannedCheckpoint, writeCheckpoint } from "./write.ts";

/** Copies may take this share of the memory that is free, to the machine and to the container. */
const COPY_SHARE = 0.25;
/** Who hears of checkpoints that are written. */
export interface SaverContext {
  /** Called when a checkpoint's files are on disk; it gets its name once what was reported before is, too. */
  flush(): Promise<void>;
  /** Called when it is whole, on disk and synced. */
  report(event: { readonly type: "checkpoint"; readonly step: number; readonly path: string }): Promise<void>;
}

/**
 * Writes checkpoints beside training: what they hold is copied, and hashing,
 * writing and syncing happen while updates go on. Where a copy
 * does not fit into memory, training waits for the disk. One at a time.
 */
export class CheckpointSaver {
  readonly #context: SaverContext;
  #pending: Promise<void> | null = null;
  #failure: { readonly error: unknown } | null = null;

  constructor(context: SaverContext) {
    this.#context = context;
  }

  /**
   * Starts writing a checkpoint; when this resolves, what it is made of may change.
   *
   * @param bytes about how large it is
   * @throws what went wrong with the one before
   */
  async save(planned: PlannedCheckpoint, bytes: number): Promise<void> {
    await this.settle();
    const fits = bytes <= COPY_SHARE * process.availableMemory();
    const copied = fits ? await detachCheckpoint(planned) : planned;
    const writing = this.#write(copied);
    if (fits) this.#pending = writing;
    else await writing;
    this.check();
  }

  async #write(planned: PlannedCheckpoint): Promise<void> {
    try {
      const path = await writeCheckpoint({
        ...planned,
        verify: async (folder) => {
          await planned.verify(folder);
          await this.#context.flush();
        },
      });
      await this.#context.report({ type: "checkpoint", step: planned.state.step, path });
    } catch (error) {
      this.#failure = { error };
    }
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
  }
}
