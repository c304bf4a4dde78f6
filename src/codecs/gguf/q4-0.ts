import { type Dequantize, f16At } from "./block-codec.ts";

/*
 * Q4_0, 18 bytes for 32 values: fp16 d | 16 bytes, value i in the low nibble of
 * byte i, value 16 + i in its high one. Value: d · (q − 8), exact in fp32.
 */
const BYTES = 18;

export const dequantizeQ4_0: Dequantize = (bytes, blockCount, out) => {
  for (let block = 0, at = 0, o = 0; block < blockCount; block++, at += BYTES, o += 32) {
    const d = f16At(bytes, at);
    for (let i = 0; i < 16; i++) {
      const byte = bytes[at + 2 + i] as number;
      out[o + i] = d * ((byte & 15) - 8);
      out[o + 16 + i] = d * ((byte >> 4) - 8);
    }
  }
};
