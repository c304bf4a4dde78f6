import { type Dequantize, f16At } from "./block-codec.ts";

/*
 * Q2_K, 84 bytes for 256 values: 16 bytes, one for each 16 values (scale in the low
 * nibble, minimum in the high one) | 64 bytes of 2-bit q | fp16 d | fp16 dmin.
 * Each half of 128 values has 32 bytes of q: values 32·j … 32·j + 31 lie in bits 2j, 2j + 1.
 * Value: (d · scale) · q − (dmin · minimum). Both products are exact in fp32.
 */
const BYTES = 84;

export const dequantizeQ2_K: Dequantize = (bytes, blockCount, out) => {
  for (let block = 0, at = 0, o = 0; block < blockCount; block++, at += BYTES) {
    const d = f16At(bytes, at + 80);
    const dmin = f16At(bytes, at + 82);
    for (let group = 0; group < 16; group++) {
      const scale = bytes[at + group] as number;
      const step = d * (scale & 15);
      const least = dmin * (scale >> 4);
      const shift = group & 6; // twice the quarter of the half
      const q = at + 16 + (group >> 3) * 32 + (group & 1) * 16;
      for (let i = q; i < q + 16; i++) out[o++] = step * (((bytes[i] as number) >> shift) & 3) - least;
    }
  }
};
