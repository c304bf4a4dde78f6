import { InternalError } from "../core/index.ts";
import { elementCount, NF4_CODEBOOK } from "../formats/index.ts";
import type { Nf4Tensor } from "./nf4-quantize.ts";

/**
 * For each packed byte its two values as one 8-byte store. The pattern is never
 * a NaN as fp64 (its upper half is an fp32 of at most 1), so moving it as a
 * number keeps every bit.
 */
const PAIRS = new Float64Array(256);
const PAIR_VALUES = new Float32Array(PAIRS.buffer);
for (let byte = 0; byte < 256; byte++) {
  PAIR_VALUES[2 * byte] = NF4_CODEBOOK[byte >> 4] as number;
  PAIR_VALUES[2 * byte + 1] = NF4_CODEBOOK[byte & 15] as number;
}

/** Looks up all pairs of `packed` into `out` (even offset of 8 bytes, even length). */
function lookUpPairs(packed: Uint8Array, out: Float32Array, pairCount: number): void {
  const pairs = new Float64Array(out.buffer, out.byteOffset, pairCount);
  for (let i = 0; i < pairCount; i++) pairs[i] = PAIRS[packed[i] as number] as number;
}

/** Multiplies each block by its scale. */
function scaleBlocks(out: Float32Array, count: number, absmax: Float32Array, blockSize: number): void {
  for (let block = 0, start = 0; start < count; block++) {
    const scale = absmax[block] as number;
    const end = Math.min(start + blockSize, count);
    for (; start < end; start++) out[start] = (out[start] as number) * scale;
  }
}

/** The same one by one, for output at an odd 4-byte offset. */
function dequantizeSlowly(packed: Uint8Array, absmax: Float32Array, blockSize: number, out: Float32Array, count: number): void {
  for (let i = 0; i < count; i++) {
    const byte = packed[i >> 1] as number;
    out[i] = (NF4_CODEBOOK[i % 2 === 0 ? byte >> 4 : byte & 15] as number) * (absmax[Math.floor(i / blockSize)] as number);
  }
}

function dequantize(packed: Uint8Array, absmax: Float32Array, blockSize: number, out: Float32Array, count: number): void {
  if (out.length < count) throw new InternalError(`dequantizing ${count} values into a buffer of ${out.length}`);
  if (out.byteOffset % 8 !== 0) {
    dequantizeSlowly(packed, absmax, blockSize, out, count);
    return;
  }
  lookUpPairs(packed, out, count >> 1);
  if (count % 2 === 1) out[count - 1] = NF4_CODEBOOK[(packed[count >> 1] as number) >> 4] as number;
  scaleBlocks(out, count, absmax, blockSize);
}

/**
 * NF4 → fp32 (`code * absmax`, rounded once, as bitsandbytes) into a buffer of
 * the caller's, which holds the row-major values afterwards. Nothing is
 * allocated; measured by `bench/kernels/nf4.ts`.
 *
 * @param out at least as many elements as the tensor; fastest at an 8-byte offset
 */
export function dequantizeNf4(tensor: Nf4Tensor, out: Float32Array): void {
  const count = elementCount(tensor.shape);
  if (count === undefined) throw new InternalError("an NF4 tensor of impossible shape");
  dequantize(tensor.packed, tensor.absmax, tensor.blockSize, out, count);
}

/**
 * Dequantizes the blocks `firstBlock` to `firstBlock + blockCount − 1` only, into
 * the start of `out`. Returns how many values that were (the last block of a
 * tensor may be short).
 */
export function dequantizeNf4Blocks(tensor: Nf4Tensor, firstBlock: number, blockCount: number, out: Float32Array): number {
  const total = elementCount(tensor.shape) ?? 0;
  const start = firstBlock * tensor.blockSize;
  const count = Math.min(blockCount * tensor.blockSize, total - start);
  if (firstBlock < 0 || count < 0)
    throw new InternalError(`blocks ${firstBlock} to ${firstBlock + blockCount} of a tensor of ${total} values`);
  const packed = tensor.packed.subarray(start / 2, Math.ceil((start + count) / 2));
  dequantize(packed, tensor.absmax.subarray(firstBlock, firstBlock + blockCount), tensor.blockSize, out, count);
  return count;
}
