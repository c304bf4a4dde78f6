import { type Dequantize, f16At, signed } from "./block-codec.ts";

/*
 * Q6_K, 210 bytes for 256 values: 128 bytes of low nibbles | 64 bytes of high bit pairs |
 * 16 × int8 scale, one for each 16 values | fp16 d. Of each half of 128 values: values 0 to 63
 * are the low nibbles of its 64 bytes, 64 to 127 the high ones; values 32·j … 32·j + 31 have
 * their high bits at 2j, 2j + 1 of its 32 bytes. Value: (d · scale) · (q − 32).
 * d · scale is exact in fp32 (11 and 8 bits), so that the product is rounded once.
 */
const BYTES = 210;

export const dequantizeQ6_K: Dequantize = (bytes, blockCount, out) => {
  for (let block = 0, at = 0, o = 0; block < blockCount; block++, at += BYTES) {
    const d = f16At(bytes, at + 208);
    for (let group = 0; group < 16; group++) {
      const step = d * signed(bytes[at + 192 + group] as number);
      const half = group >> 3;
      const low = at + half * 64 + (group & 3) * 16;
      const lowShift = group & 4; // 4 for the second half of the half
      const high = at + 128 + half * 32 + (group & 1) * 16;
      const highShift = group & 6;
      for (let i = 0; i < 16; i++) {
        const q = (((bytes[low + i] as number) >> lowShift) & 15) | ((((bytes[high + i] as number) >> highShift) & 3) << 4);
        out[o++] = step * (q - 32);
      }
    }
  }
};
