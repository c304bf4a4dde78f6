import { InternalError } from "../../core/index.ts";

/** Gives the memory to read in place of a live tensor's: its copy, or itself. */
export type Reading = (live: Float32Array) => Float32Array;

/** What is read is live: nothing may change it meanwhile. */
export const readLive: Reading = (live) => live;

/**
 * One copy of the tensors that training goes on changing. Its buffers are filled
 * again for every checkpoint: memory that is new costs several times the copy
 * itself, because the system hands it out page by page and zeroed. They are
 * shared memory, so that another thread can read them.
 */
export class MemoryCopy {
  #copies: ReadonlyMap<Float32Array, Float32Array> = new Map();

  /** Held from one checkpoint to the next. */
  get bytes(): number {
    return [...this.#copies.values()].reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  /** Copies tensors, over what was copied before. */
  take(tensors: readonly Float32Array[]): Reading {
    const copies = new Map<Float32Array, Float32Array>();
    for (const live of tensors) {
      const copy = this.#copies.get(live) ?? new Float32Array(new SharedArrayBuffer(live.byteLength));
      copy.set(live);
      copies.set(live, copy);
    }
    this.#copies = copies;
    return (live) => {
      const copy = copies.get(live);
      if (copy === undefined) throw new InternalError("a checkpoint reads a tensor that it did not name");
      return copy;
    };
  }

  /** Gives the buffers back. */
  release(): void {
    this.#copies = new Map();
  }
}
