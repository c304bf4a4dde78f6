import { type Dequantize, f16At } from "./block-codec.ts";
import { kMinimum, kScale } from "./k-scales.ts";

/*
 * Q5_K, 176 bytes for 256 values: fp16 d | fp16 dmin | 12 bytes of scales and minima |
 * 32 bytes with the fifth bits (bit g of byte i for value i of group g) | 128 bytes of nibbles as in Q4_K.
 * Value: (d · scale) · q − (dmin · minimum), rounded as in Q4_K.
 */
const BYTES = 176;

export const dequantizeQ5_K: Dequantize = (bytes, blockCount, out) => {
  for (let block = 0, at = 0, o = 0; block < blockCount; block++, at += BYTES) {
    const d = f16At(bytes, at);
    const dmin = f16At(bytes, at + 2);
    for (let group = 0; group < 8; group++) {
      const step = d * kScale(bytes, at + 4, group);
      const least = dmin * kMinimum(bytes, at + 4, group);
      const shift = (group & 1) * 4;
      const q = at + 48 + (group >> 1) * 32;
      for (let i = 0; i < 32; i++) {
        const high = ((bytes[at + 16 + i] as number) >> group) & 1;
        out[o++] = step * ((((bytes[q + i] as number) >> shift) & 15) | (high << 4)) - least;
      }
    }
  }
};
