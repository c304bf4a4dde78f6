import { type Dequantize, f16At } from "./block-codec.ts";

/*
 * Q4_1, 20 bytes for 32 values: fp16 d | fp16 m | 16 bytes of nibbles as in Q4_0.
 * Value: d · q + m. The product is exact in fp32 (11 and 4 bits) and so is the sum
 * as a double, so that storing it rounds once, as the sum of fp32 does.
 */
const BYTES = 20;

export const dequantizeQ4_1: Dequantize = (bytes, blockCount, out) => {
  for (let block = 0, at = 0, o = 0; block < blockCount; block++, at += BYTES, o += 32) {
    const d = f16At(bytes, at);
    const m = f16At(bytes, at + 2);
    for (let i = 0; i < 16; i++) {
      const byte = bytes[at + 4 + i] as number;
      out[o + i] = d * (byte & 15) + m;
      out[o + 16 + i] = d * (byte >> 4) + m;
    }
  }
};
