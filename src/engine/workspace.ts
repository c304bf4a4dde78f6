import type { Program, TensorData } from "../compute/index.ts";

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

  /** Bytes held. */
  get heldBytes(): number {
    let total = 0;
    for (const buffer of this.#buffers.values()) total += buffer.byteLength;
    return total;
  }

  /** Gives all memory back. */
  clear(): void {
    this.#buffers.clear();
    this.#views.clear();
  }
}
