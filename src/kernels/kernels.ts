import { InternalError } from "../core/index.ts";
import { WASM_KERNELS } from "./wasm_kernels.ts";

/** The functions of the module; addresses are bytes from the start of the memory. What each does is said in assembly/. */
export interface KernelFunctions {
  adamw8bit(
    w: number,
    g: number,
    codes1: number,
    scales1: number,
    map1: number,
    table1: number,
    codes2: number,
    scales2: number,
    map2: number,
    table2: number,
    temporary: number,
    scalars: number,
    count: number,
  ): void;
  roundToBf16(values: number, out: number, count: number, key0: number, key1: number, pair: number): void;
  dequantizeNf4(planes: number, packed: number, scales: number, out: number, blocks: number, blockSize: number): void;
}

/** Of the global that every engine has; the compiler's ES libraries do not declare it, and its DOM library would declare far more. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Memory: new (size: { readonly initial: number; readonly maximum: number }) => { readonly buffer: ArrayBuffer };
  readonly Instance: new (module: object, imports: object) => { readonly exports: object };
};

const PAGE = 65_536;
/** A WebAssembly memory of 32-bit addresses. */
const MOST_BYTES = 65_536 * PAGE;
/** Parts begin at multiples of a cache line. */
const ALIGNMENT = 64;

let sharedModule: object | undefined;

function kernelModule(): object {
  sharedModule ??= new WebAssembly.Module(Uint8Array.from(atob(WASM_KERNELS), (character) => character.charCodeAt(0)));
  return sharedModule;
}

/**
 * The kernels on a memory of their own, which is divided into named parts and never grows, so that views of it stay
 * valid: an ordinary ArrayBuffer, which the runtime of compute/ reads in place.
 */
export class Kernels<Part extends string> {
  readonly functions: KernelFunctions;
  readonly buffer: ArrayBuffer;
  readonly #offsets: Readonly<Record<Part, number>>;

  /** @param parts bytes of each part */
  constructor(parts: Readonly<Record<Part, number>>) {
    let end = 0;
    const offsets: Partial<Record<Part, number>> = {};
    for (const [name, bytes] of Object.entries(parts) as [Part, number][]) {
      offsets[name] = end;
      end = ALIGNMENT * Math.ceil((end + bytes) / ALIGNMENT);
    }
    if (end > MOST_BYTES) throw new InternalError(`kernels asked for ${end} bytes of memory, which has ${MOST_BYTES} at most`);
    const pages = Math.max(1, Math.ceil(end / PAGE));
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    const { exports } = new WebAssembly.Instance(kernelModule(), { env: { memory } });
    this.functions = exports as unknown as KernelFunctions;
    this.buffer = memory.buffer;
    this.#offsets = offsets as Record<Part, number>;
  }

  /** Address of a part. */
  at(part: Part): number {
    return this.#offsets[part];
  }

  /** A view of `length` floats at the start of a part. */
  floats(part: Part, length: number): Float32Array<ArrayBuffer> {
    return new Float32Array(this.buffer, this.at(part), length);
  }

  /** A view of `length` bytes at the start of a part. */
  bytes(part: Part, length: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.buffer, this.at(part), length);
  }
}
