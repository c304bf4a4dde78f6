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

/*
 * Both loops below are unrolled by four by hand: V8 does not, and without it they
 * run at 300 M weights/s instead of 500 (on two loaded cores, Node 20).
 */

/** Looks up the first `pairCount` pairs of `packed` into `out`, which begins at a multiple of 8 bytes. */
function lookUpPairs(packed: Uint8Array, out: Float32Array, pairCount: number): void {
  const pairs = new Float64Array(out.buffer, out.byteOffset, pairCount);
  const unrolled = pairCount - (pairCount % 4);
  let i = 0;
  for (; i < unrolled; i += 4) {
    pairs[i] = PAIRS[packed[i] as number] as number;
    pairs[i + 1] = PAIRS[packed[i + 1] as number] as number;
    pairs[i + 2] = PAIRS[packed[i + 2] as number] as number;
    pairs[i + 3] = PAIRS[packed[i + 3] as number] as number;
  }
  for (; i < pairCount; i++) pairs[i] = PAIRS[packed[i] as number] as number;
}

/** Multiplies `out[start..end)` by `scale`. */
function scaleRange(out: Float32Array, start: number, end: number, scale: number): void {
  const unrolled = end - ((end - start) % 4);
  let i = start;
  for (; i < unrolled; i += 4) {
    out[i] = (out[i] as number) * scale;
    out[i + 1] = (out[i + 1] as number) * scale;
    out[i + 2] = (out[i + 2] as number) * scale;
    out[i + 3] = (out[i + 3] as number) * scale;
  }
  for (; i < end; i++) out[i] = (out[i] as number) * scale;
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
  for (let block = 0, start = 0; start < count; block++, start += blockSize) {
    scaleRange(out, start, Math.min(start + blockSize, count), absmax[block] as number);
  }
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
