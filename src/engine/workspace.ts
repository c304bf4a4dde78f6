import { Nf4Dequantizer } from "../codecs/index.ts";
import type { Program, TensorData } from "../compute/index.ts";
import type { Scratch } from "./base-weights.ts";

function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, n) => product * n, 1);
}

/**
 * The engine's fp32 buffers, kept between steps so that memory stays flat: each
 * named buffer grows to the largest size asked of it, and a use takes a view of
 * its beginning.
 */
export class Workspace {
  readonly #buffers = new Map<string, ArrayBuffer>();
  readonly #views = new Map<string, Map<number, Float32Array>>();
  readonly #dequantizers = new Map<string, Nf4Dequantizer>();

  /** A view of `length` floats on the buffer `name`. Its old content is unspecified. */
  floats(name: string, length: number): Float32Array {
    let buffer = this.#buffers.get(name);
    if (buffer === undefined || buffer.byteLength < 4 * length) {
      buffer = new ArrayBuffer(4 * length);
      this.#buffers.set(name, buffer);
      this.#views.set(name, new Map());
    }
    const views = this.#views.get(name) as Map<number, Float32Array>;
    let view = views.get(length);
    if (view === undefined) {
      view = new Float32Array(buffer, 0, length);
      views.set(length, view);
    }
    return view;
  }

  /** A view of `length` bytes on the buffer `name`. */
  bytes(name: string, length: number): Uint8Array {
    const floats = this.floats(name, Math.ceil(length / 4));
    return new Uint8Array(floats.buffer, 0, length);
  }

  /** Views for `outputs` of a program, all under one prefix. */
  outputs(prefix: string, program: Program, names: readonly string[]): Record<string, TensorData> {
    const views: Record<string, TensorData> = {};
    for (const name of names) views[name] = this.floats(`${prefix}/${name}`, elementCount((program.outputs[name] ?? { shape: [] }).shape));
    return views;
  }

  /** Where base values that are not held as fp32 are computed, under one name. */
  scratch(name: string): Scratch {
    return {
      floats: (length) => this.floats(`values/${name}`, length),
      dequantizer: (capacity) => this.#dequantizer(name, capacity),
    };
  }

  #dequantizer(name: string, capacity: number): Nf4Dequantizer {
    const known = this.#dequantizers.get(name);
    if (known !== undefined && known.capacity >= capacity) return known;
    const made = new Nf4Dequantizer(capacity);
    this.#dequantizers.set(name, made);
    return made;
  }

  /** Bytes held for values; besides, a dequantizer takes codes in by pieces of 160 KiB. */
  get heldBytes(): number {
    let total = 0;
    for (const { byteLength } of this.#buffers.values()) total += byteLength;
    for (const { capacity } of this.#dequantizers.values()) total += 4 * capacity;
    return total;
  }

  /** Gives all memory back. */
  clear(): void {
    this.#buffers.clear();
    this.#views.clear();
    this.#dequantizers.clear();
  }
}
