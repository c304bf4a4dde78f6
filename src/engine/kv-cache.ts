import { InternalError } from "../core/index.ts";
import type { ModelSpec } from "../model/index.ts";

/** Positions that a slot begins with; capacity doubles from here, so that a graph is compiled for few lengths. */
const SMALLEST_LENGTH = 128;

/** The capacity, in positions, that a cache for `length` positions has: doubled from 128, at most `maxLength`. */
export function cacheLength(length: number, maxLength: number): number {
  let capacity = SMALLEST_LENGTH;
  while (capacity < length) capacity *= 2;
  return Math.min(capacity, maxLength);
}

/** The slots that a cache for `count` streams has: a power of two. */
export function cacheSlots(count: number): number {
  let slots = 1;
  while (slots < count) slots *= 2;
  return slots;
}

/** Bytes of keys and values, in fp32, of `slots` slots of `length` positions. */
export function kvCacheBytes(spec: ModelSpec, slots: number, length: number): number {
  return 2 * 4 * spec.layerCount * slots * spec.kvHeadCount * length * spec.headDim;
}

/** How many rows of a block's k and v go where. */
export interface AppendedRows {
  readonly slot: number;
  /** Row of the block's batch. */
  readonly row: number;
  /** Rows S that the block computed for each of its batch. */
  readonly sequence: number;
  /** The first so many of them are kept. */
  readonly count: number;
}

/**
 * Keys and values of several streams: per layer [slots, HK, T, d], each stream in a slot of its own with its own length.
 * Slots in use are the first ones, so that a batch of them is one view. Grows in both directions by copying.
 */
export class KvCache {
  readonly #spec: ModelSpec;
  readonly #maxLength: number;
  #slots = 0;
  #length = 0;
  #keys: Float32Array[] = [];
  #values: Float32Array[] = [];
  #positions = new Int32Array(0);
  readonly #lengths: number[] = [];
  /** Of each slot in use, the positions from which on it was never written: a run that failed wrote more than it committed. */
  readonly #written: number[] = [];

  constructor(spec: ModelSpec, maxLength: number) {
    this.#spec = spec;
    this.#maxLength = maxLength;
  }

  /** Slots in use. */
  get streams(): number {
    return this.#lengths.length;
  }

  /** Positions T that each slot has room for. */
  get length(): number {
    return this.#length;
  }

  get bytes(): number {
    return kvCacheBytes(this.#spec, this.#slots, this.#length);
  }

  lengthOf(slot: number): number {
    return this.#lengths[slot] ?? 0;
  }

  /** Elements of one slot of one layer. */
  get #slotSize(): number {
    return this.#spec.kvHeadCount * this.#length * this.#spec.headDim;
  }

  /** Keys and values [count, HK, T, d] of a layer from `slot` on. */
  view(layer: number, slot: number, count: number): { readonly k: Float32Array; readonly v: Float32Array } {
    const [from, to] = [slot * this.#slotSize, (slot + count) * this.#slotSize];
    return { k: at(this.#keys, layer).subarray(from, to), v: at(this.#values, layer).subarray(from, to) };
  }

  /** Position of each key [count, T]; −1: nothing is there. */
  positions(slot: number, count: number): Int32Array {
    return this.#positions.subarray(slot * this.#length, (slot + count) * this.#length);
  }

  /**
   * Makes room: in `slot` for `length` positions. True if the arrays are new ones, views of the old ones then being stale.
   */
  reserve(slot: number, length: number): boolean {
    if (length > this.#maxLength) throw new InternalError(`a stream of ${length} positions in a cache for ${this.#maxLength}`);
    const slots = Math.max(this.#slots, cacheSlots(slot + 1));
    const wanted = Math.max(this.#length, cacheLength(length, this.#maxLength));
    if (slots === this.#slots && wanted === this.#length) return false;
    this.#resize(slots, wanted);
    return true;
  }

  /** Whether one more stream needs more memory. */
  get isFull(): boolean {
    return this.#lengths.length === this.#slots;
  }

  /** Takes the next free slot. */
  add(): number {
    const slot = this.#lengths.length;
    this.reserve(slot, 1);
    this.#lengths.push(0);
    this.#written.push(0);
    return slot;
  }

  /** Gives back the slots that nobody uses, as far as a power of two allows. True if the arrays are new ones. */
  trim(): boolean {
    const slots = cacheSlots(this.streams);
    if (slots >= this.#slots) return false;
    this.#resize(slots, this.#length);
    return true;
  }

  /** Frees a slot; the last one in use moves into it. When none is left, the memory is given back. */
  remove(slot: number): void {
    const last = this.#lengths.length - 1;
    if (slot !== last) this.#move(last, slot);
    if (last > 0) this.#clear(last, 0);
    this.#lengths.pop();
    this.#written.pop();
    if (this.#lengths.length === 0) {
      [this.#slots, this.#length, this.#keys, this.#values, this.#positions] = [0, 0, [], [], new Int32Array(0)];
    }
  }

  /** Copies a block's new rows k, v [B, HK, S, d] behind what the slot holds; they count once {@link commit} is called. */
  append(layer: number, k: Float32Array, v: Float32Array, { slot, row, sequence, count }: AppendedRows): void {
    const { kvHeadCount, headDim } = this.#spec;
    const [keys, values] = [at(this.#keys, layer), at(this.#values, layer)];
    const start = this.lengthOf(slot);
    this.#written[slot] = Math.max(this.#written[slot] ?? 0, start + count);
    for (let head = 0; head < kvHeadCount; head++) {
      let from = (row * kvHeadCount + head) * sequence * headDim;
      let to = ((slot * kvHeadCount + head) * this.#length + start) * headDim;
      // Element by element: a row is 64 to 128 numbers, for which a view costs more than the copy.
      for (const end = from + count * headDim; from < end; from++, to++) {
        keys[to] = k[from] as number;
        values[to] = v[from] as number;
      }
    }
  }

  /** Counts `count` appended rows of a slot as held. */
  commit(slot: number, count: number): void {
    const start = this.lengthOf(slot);
    for (let position = start; position < start + count; position++) this.#positions[slot * this.#length + position] = position;
    this.#lengths[slot] = start + count;
  }

  /** Forgets what a slot holds from `length` on. */
  truncate(slot: number, length: number): void {
    this.#clear(slot, length);
    this.#lengths[slot] = length;
  }

  /**
   * Empties a slot from a position on. Values, too: a key that is not seen has the weight 0, and 0 times a NaN or an infinity
   * that an earlier stream left behind is NaN.
   */
  #clear(slot: number, from: number): void {
    const { kvHeadCount, headDim } = this.#spec;
    const end = this.#written[slot] ?? 0;
    this.#positions.fill(-1, slot * this.#length + from, (slot + 1) * this.#length);
    for (const arrays of [this.#keys, this.#values]) {
      for (const array of arrays) {
        for (let head = slot * kvHeadCount; head < (slot + 1) * kvHeadCount; head++)
          array.fill(0, (head * this.#length + from) * headDim, (head * this.#length + end) * headDim);
      }
    }
    this.#written[slot] = Math.min(end, from);
  }

  #move(from: number, to: number): void {
    const size = this.#slotSize;
    for (const arrays of [this.#keys, this.#values])
      for (const array of arrays) array.copyWithin(to * size, from * size, (from + 1) * size);
    this.#positions.copyWithin(to * this.#length, from * this.#length, (from + 1) * this.#length);
    this.#lengths[to] = this.lengthOf(from);
    this.#written[to] = this.#written[from] ?? 0;
  }

  /**
   * Allocates all before anything changes: what does not fit leaves the cache as it was. Memory that was not written yet takes
   * no place, and each old array is let go once it is copied.
   */
  #resize(slots: number, length: number): void {
    const { layerCount, kvHeadCount, headDim } = this.#spec;
    const [kept, before] = [Math.min(slots, this.#slots), this.#length];
    const allocate = (): Float32Array[] =>
      Array.from({ length: layerCount }, () => new Float32Array(slots * kvHeadCount * length * headDim));
    const [keys, values, positions] = [allocate(), allocate(), new Int32Array(slots * length).fill(-1)];
    for (const [arrays, grown] of [[this.#keys, keys] as const, [this.#values, values] as const]) {
      for (const [layer, array] of grown.entries()) {
        copyRows(arrays[layer] ?? new Float32Array(0), before * headDim, array, length * headDim, kept * kvHeadCount);
        arrays[layer] = array;
      }
    }
    copyRows(this.#positions, before, positions, length, kept);
    [this.#slots, this.#length, this.#positions] = [slots, length, positions];
  }
}

function at<T>(list: readonly T[], index: number): T {
  const found = list[index];
  if (found === undefined) throw new InternalError(`position ${index} of ${list.length}`);
  return found;
}

/** Rows of `width` into rows that are at least as wide. */
function copyRows<T extends Float32Array | Int32Array>(from: T, width: number, to: T, wider: number, rows: number): void {
  for (let row = 0; row < rows; row++) to.set(from.subarray(row * width, (row + 1) * width), row * wider);
}
