import { freemem } from "node:os";
import { detachCheckpoint, type PlannedCheckpoint, writeCheckpoint } from "./write.ts";

/** Copies may take this share of the memory that is free. */
const COPY_SHARE = 0.25;
/** One buffer per file: Node hashes and writes up to 2 GiB at once. */
const MAX_FILE_BYTES = 2 ** 31 - 1;

/** A checkpoint that is on disk. */
export interface SavedCheckpoint {
  readonly step: number;
  readonly path: string;
}

/**
 * Writes checkpoints beside training: what they hold is copied, and hashing,
 * writing and syncing happen on other threads while updates go on. Where a copy
 * does not fit into memory, training waits for the disk. One at a time.
 */
export class CheckpointSaver {
  readonly #onSaved: (saved: SavedCheckpoint) => Promise<void>;
  #pending: Promise<void> | null = null;
  #failure: { readonly error: unknown } | null = null;

  /** @param onSaved told when a checkpoint is whole, on disk and synced */
  constructor(onSaved: (saved: SavedCheckpoint) => Promise<void>) {
    this.#onSaved = onSaved;
  }

  /**
   * Starts writing a checkpoint; when this resolves, what it is made of may change.
   *
   * @param bytes about how large it is
   * @throws what went wrong with the one before
   */
  async save(planned: PlannedCheckpoint, bytes: number): Promise<void> {
    await this.settle();
    const fits = bytes <= COPY_SHARE * freemem() && bytes <= MAX_FILE_BYTES;
    const copied = fits ? await detachCheckpoint(planned) : planned;
    const writing = this.#write(copied);
    if (fits) this.#pending = writing;
    else await writing;
    this.check();
  }

  async #write(planned: PlannedCheckpoint): Promise<void> {
    try {
      const path = await writeCheckpoint(planned);
      await this.#onSaved({ step: planned.state.step, path });
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
}
