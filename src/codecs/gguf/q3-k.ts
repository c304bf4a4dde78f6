import { type Dequantize, f16At } from "./block-codec.ts";

/*
 * Q3_K, 110 bytes for 256 values: 32 bytes of third bits (bit 32-group of value mod 32;
 * 4 is subtracted where it is not set) | 64 bytes of 2-bit q as in Q2_K | 12 bytes with
 * 16 scales of 6 bits (low four in the nibbles of the first 8, high two in the last 4) | fp16 d.
 * Value: (d · (scale − 32)) · (q − 4 or 0). All products are exact in fp32.
 */
const BYTES = 110;

/** Scale of one of the 16 groups, from −32 to 31. */
function scaleOf(bytes: Uint8Array, at: number, group: number): number {
  const low = ((bytes[at + (group & 7)] as number) >> (group & 8 ? 4 : 0)) & 15;
  const high = ((bytes[at + 8 + (group & 3)] as number) >> (2 * (group >> 2))) & 3;
  return (low | (high << 4)) - 32;
}

export const dequantizeQ3_K: Dequantize = (bytes, blockCount, out) => {
  for (let block = 0, at = 0, o = 0; block < blockCount; block++, at += BYTES) {
    const d = f16At(bytes, at + 108);
    for (let group = 0; group < 16; group++) {
      const step = d * scaleOf(bytes, at + 96, group);
      const shift = group & 6;
      const bit = group >> 1;
      const column = (group & 1) * 16;
      const q = at + 32 + (group >> 3) * 32 + column;
      for (let i = 0; i < 16; i++) {
        const offset = (((bytes[at + column + i] as number) >> bit) & 1) === 0 ? 4 : 0;
        out[o++] = step * ((((bytes[q + i] as number) >> shift) & 3) - offset);
      }
    }
  }
};
