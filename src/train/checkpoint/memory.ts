import { InternalError } from "../../core/index.ts";

/** Memory of a tensor that training goes on changing: fp32 values, bits of bf16 ones, codes of 8 bits. */
export type LiveArray = Float32Array | Uint16Array | Uint8Array;

/** Gives the memory to read in place of a live tensor's: its copy, or itself. */
export type Reading = <A extends LiveArray>(live: A) => A;

/** What is read is live: nothing may change it meanwhile. */
export const readLive: Reading = (live) => live;

/** An array of the same kind and length in shared memory. */
function sharedLike(live: LiveArray): LiveArray {
  const memory = new SharedArrayBuffer(live.byteLength);
  if (live instanceof Float32Array) return new Float32Array(memory);
  return live instanceof Uint16Array ? new Uint16Array(memory) : new Uint8Array(memory);
}

/**
 * One copy of the tensors that training goes on changing. Its buffers are filled
 * again for every checkpoint: memory that is new costs several times the copy
 * itself, because the system hands it out page by page and zeroed. They are
 * shared memory, so that another thread can read them.
 */
export class MemoryCopy {
  #copies: ReadonlyMap<LiveArray, LiveArray> = new Map();

  /** Held from one checkpoint to the next. */
  get bytes(): number {
    return [...this.#copies.values()].reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  /** Copies tensors, over what was copied before. */
  take(tensors: readonly LiveArray[]): Reading {
    const copies = new Map<LiveArray, LiveArray>();
    for (const live of tensors) {
      const copy = this.#copies.get(live) ?? sharedLike(live);
      copy.set(live);
      copies.set(live, copy);
    }
    this.#copies = copies;
    return <A extends LiveArray>(live: A) => {
      const copy = copies.get(live) as A | undefined;
      if (copy === undefined) throw new InternalError("a checkpoint reads a tensor that it did not name");
      return copy;
    };
  }

  /** Gives the buffers back. */
  release(): void {
    this.#copies = new Map();
  }
}
