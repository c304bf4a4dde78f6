import { InternalError } from "../../core/index.ts";
import { f32ToF16 } from "../float16.ts";
import { type Dequantize, f16At, signed } from "./block-codec.ts";

/*
 * Q8_0, 34 bytes for 32 values: fp16 d | 32 × int8 q. Value: q · d.
 * The product is exact in fp32: 11 and 7 bits.
 */
const VALUES = 32;
const BYTES = 34;

export const dequantizeQ8_0: Dequantize = (bytes, blockCount, out) => {
  for (let block = 0, at = 0, o = 0; block < blockCount; block++, at += BYTES) {
    const d = f16At(bytes, at);
    for (let i = at + 2; i < at + BYTES; i++) out[o++] = signed(bytes[i] as number) * d;
  }
};

const f32 = Math.fround;

/** To nearest, halves away from zero, as C's roundf. */
function roundAway(value: number): number {
  const size = Math.abs(value);
  const below = Math.floor(size);
  return Math.sign(value) * (below + Math.floor(2 * (size - below)));
}

/**
 * fp32 → Q8_0 blocks, byte for byte as llama.cpp's reference quantizer and the
 * PyPI package gguf (0.19): d = max|x| / 127 in fp32, q = roundf(x · (1 / d)).
 *
 * @param values finite; a whole number of blocks of 32
 */
export function quantizeQ8_0(values: Float32Array): Uint8Array {
  if (values.length % VALUES !== 0) throw new InternalError(`Q8_0 of ${values.length} values, which are no whole blocks of ${VALUES}`);
  const blockCount = values.length / VALUES;
  const out = new Uint8Array(blockCount * BYTES);
  const scales = new Float32Array(blockCount);
  for (let block = 0; block < blockCount; block++) {
    const start = block * VALUES;
    let largest = 0;
    for (let i = start; i < start + VALUES; i++) largest = Math.max(largest, Math.abs(values[i] as number));
    const d = f32(largest / 127);
    const inverse = d === 0 ? 0 : f32(1 / d);
    scales[block] = d;
    for (let i = 0; i < VALUES; i++) out[block * BYTES + 2 + i] = roundAway(f32((values[start + i] as number) * inverse));
  }
  const units = f32ToF16(scales);
  const view = new DataView(out.buffer);
  for (let block = 0; block < blockCount; block++) view.setUint16(block * BYTES, units[block] as number, true);
  return out;
}
