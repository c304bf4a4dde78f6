import { type Dequantize, f16At } from "./block-codec.ts";
import { kMinimum, kScale } from "./k-scales.ts";

/*
 * Q4_K, 144 bytes for 256 values: fp16 d | fp16 dmin | 12 bytes of scales and minima |
 * 128 bytes of nibbles: of each 32 bytes the low nibbles are 32 values and the high ones the next 32.
 * Value: (d · scale) · q − (dmin · minimum). Products are exact in fp32, the difference is rounded once.
 */
const BYTES = 144;

export const dequantizeQ4_K: Dequantize = (bytes, blockCount, out) => {
  for (let block = 0, at = 0, o = 0; block < blockCount; block++, at += BYTES) {
    const d = f16At(bytes, at);
    const dmin = f16At(bytes, at + 2);
    for (let group = 0; group < 8; group++) {
      const step = d * kScale(bytes, at + 4, group);
      const least = dmin * kMinimum(bytes, at + 4, group);
      const shift = (group & 1) * 4;
      const q = at + 16 + (group >> 1) * 32;
      for (let i = q; i < q + 32; i++) out[o++] = step * (((bytes[i] as number) >> shift) & 15) - least;
    }
  }
};
