import { InternalError } from "../core/index.ts";
import { type Bnb4bitNested, elementCount, NF4_CODEBOOK, restoreAbsmax } from "../formats/index.ts";
import { Kernels } from "../kernels/index.ts";

/** A weight in NF4 as it may be kept: with the scales of its blocks, or only the 8 bits that they were quantized to. */
export interface PackedNf4 {
  /** Two codes per byte, the first element in the high nibble. */
  readonly packed: Uint8Array;
  /** Scale per block; may be left out where `nested` is there. */
  readonly absmax?: Float32Array;
  readonly nested?: Bnb4bitNested;
  readonly shape: readonly number[];
  /** Values per scale; even. */
  readonly blockSize: number;
}

/** Values that are taken into the kernels' memory at a time; blocks of up to 4096 values divide it. */
const CHUNK = 2 ** 18;
/** The kernel reads 32 codes at once. */
const KERNEL_CODES = 32;

/** Byte `b` of every value of the codebook at `16·b`. */
function codebookPlanes(): Uint8Array {
  const bytes = new Uint8Array(Float32Array.from(NF4_CODEBOOK).buffer);
  return Uint8Array.from({ length: 64 }, (_, i) => bytes[4 * (i % 16) + Math.floor(i / 16)] as number);
}

/** The scales of `count` blocks from `first` on, into `out`. */
function takeScales({ absmax, nested }: PackedNf4, first: number, count: number, out: Float32Array): void {
  if (absmax !== undefined) out.set(absmax.subarray(first, first + count));
  else if (nested !== undefined) restoreAbsmax(nested, first, count, out);
  else throw new InternalError("an NF4 tensor without scales");
}

/**
 * NF4 → fp32 (`code · scale`, rounded once, as bitsandbytes) in a memory of its own, over and over: nothing is allocated
 * after the first use. About four times as fast as a loop in JavaScript (`bench/kernels/nf4.ts`).
 */
export class Nf4Dequantizer {
  readonly #kernels: Kernels<"planes" | "packed" | "scales" | "out">;
  /** Most values of a tensor, or of a range of one. */
  readonly capacity: number;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.#kernels = new Kernels({ planes: 64, packed: CHUNK / 2, scales: 4 * (CHUNK / KERNEL_CODES), out: 4 * capacity });
    this.#kernels.bytes("planes", 64).set(codebookPlanes());
  }

  /** All values, row-major; a view that the next call overwrites. */
  values(tensor: PackedNf4): Float32Array<ArrayBuffer> {
    const count = elementCount(tensor.shape);
    if (count === undefined) throw new InternalError("an NF4 tensor of impossible shape");
    return this.range(tensor, 0, Math.ceil(count / tensor.blockSize));
  }

  /** The values of the blocks `firstBlock` to `firstBlock + blockCount − 1` (the last block of a tensor may be short). */
  range(tensor: PackedNf4, firstBlock: number, blockCount: number): Float32Array<ArrayBuffer> {
    const { blockSize, shape } = tensor;
    const total = elementCount(shape) ?? 0;
    const start = firstBlock * blockSize;
    const count = Math.min(blockCount * blockSize, total - start);
    if (firstBlock < 0 || count < 0 || count > this.capacity)
      throw new InternalError(`blocks ${firstBlock} to ${firstBlock + blockCount} of ${total} values, into ${this.capacity}`);
    const whole = blockSize % KERNEL_CODES === 0 ? Math.floor(count / blockSize) : 0;
    const perChunk = Math.max(1, Math.floor(CHUNK / blockSize));
    for (let done = 0; done < whole; done += perChunk) this.#wholeBlocks(tensor, firstBlock, done, Math.min(perChunk, whole - done));
    const out = this.#kernels.floats("out", count);
    this.#rest(tensor, start, whole * blockSize, out);
    return out;
  }

  /** `count` whole blocks of a range that begins at `firstBlock`, from its block `done` on. */
  #wholeBlocks(tensor: PackedNf4, firstBlock: number, done: number, count: number): void {
    const kernels = this.#kernels;
    const { packed, blockSize } = tensor;
    const from = ((firstBlock + done) * blockSize) / 2;
    const bytes = (count * blockSize) / 2;
    kernels.bytes("packed", bytes).set(packed.subarray(from, from + bytes));
    takeScales(tensor, firstBlock + done, count, kernels.floats("scales", count));
    const out = kernels.at("out") + 4 * done * blockSize;
    kernels.functions.dequantizeNf4(kernels.at("planes"), kernels.at("packed"), kernels.at("scales"), out, count, blockSize);
  }

  /** What is no whole block, or not of a size that the kernel takes: from element `done` of the range on. */
  #rest(tensor: PackedNf4, start: number, done: number, out: Float32Array): void {
    const { packed, blockSize } = tensor;
    const scale = new Float32Array(1);
    for (let i = done; i < out.length; i++) {
      const at = start + i;
      if (i === done || at % blockSize === 0) takeScales(tensor, Math.floor(at / blockSize), 1, scale);
      const byte = packed[at >> 1] as number;
      out[i] = (NF4_CODEBOOK[at % 2 === 0 ? byte >> 4 : byte & 15] as number) * (scale[0] as number);
    }
  }
}

let shared: Nf4Dequantizer | undefined;

/**
 * NF4 → fp32 into a buffer of the caller's, which holds the row-major values afterwards.
 *
 * @param out at least as many elements as the tensor
 */
export function dequantizeNf4(tensor: PackedNf4, out: Float32Array): void {
  const count = elementCount(tensor.shape);
  if (count === undefined) throw new InternalError("an NF4 tensor of impossible shape");
  dequantizeNf4Blocks(tensor, 0, Math.ceil(count / tensor.blockSize), out);
}

/**
 * Dequantizes the blocks `firstBlock` to `firstBlock + blockCount − 1` only, into
 * the start of `out`. Returns how many values that were.
 */
export function dequantizeNf4Blocks(tensor: PackedNf4, firstBlock: number, blockCount: number, out: Float32Array): number {
  shared ??= new Nf4Dequantizer(CHUNK);
  const perChunk = Math.max(1, Math.floor(CHUNK / tensor.blockSize));
  let written = 0;
  for (let done = 0; done < blockCount; done += perChunk) {
    const values = shared.range(tensor, firstBlock + done, Math.min(perChunk, blockCount - done));
    if (written + values.length > out.length) throw new InternalError(`dequantizing into a buffer of ${out.length} values`);
    out.set(values, written);
    written += values.length;
  }
  return written;
}
