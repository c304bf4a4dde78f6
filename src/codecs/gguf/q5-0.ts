import { type Dequantize, f16At } from "./block-codec.ts";

/*
 * Q5_0, 22 bytes for 32 values: fp16 d | u32 with the fifth bit of value i in bit i |
 * 16 bytes of nibbles as in Q4_0. Value: d · (q − 16), exact in fp32.
 */
const BYTES = 22;

export const dequantizeQ5_0: Dequantize = (bytes, blockCount, out) => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let block = 0, at = 0, o = 0; block < blockCount; block++, at += BYTES, o += 32) {
    const d = f16At(bytes, at);
    const high = view.getUint32(at + 2, true);
    for (let i = 0; i < 16; i++) {
      const byte = bytes[at + 6 + i] as number;
      out[o + i] = d * (((byte & 15) | (((high >>> i) & 1) << 4)) - 16);
      out[o + 16 + i] = d * (((byte >> 4) | (((high >>> (16 + i)) & 1) << 4)) - 16);
    }
  }
};
