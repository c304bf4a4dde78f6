import { type Dequantize, f16At } from "./block-codec.ts";

/*
 * Q5_1, 24 bytes for 32 values: fp16 d | fp16 m | u32 with the fifth bit of value i in
 * bit i | 16 bytes of nibbles as in Q4_0. Value: d · q + m, rounded once as in Q4_1.
 */
const BYTES = 24;

export const dequantizeQ5_1: Dequantize = (bytes, blockCount, out) => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let block = 0, at = 0, o = 0; block < blockCount; block++, at += BYTES, o += 32) {
    const d = f16At(bytes, at);
    const m = f16At(bytes, at + 2);
    const high = view.getUint32(at + 4, true);
    for (let i = 0; i < 16; i++) {
      const byte = bytes[at + 8 + i] as number;
      out[o + i] = d * ((byte & 15) | (((high >>> i) & 1) << 4)) + m;
      out[o + 16 + i] = d * ((byte >> 4) | (((high >>> (16 + i)) & 1) << 4)) + m;
    }
  }
};
