import { bf16ToF32, f16ToF32 } from "../float16.ts";
import type { Dequantize } from "./block-codec.ts";

/* F32, F16 and BF16: a block is one value, little endian, and exact in fp32. */

export const dequantizeF32: Dequantize = (bytes, blockCount, out) => {
  new Uint8Array(out.buffer, out.byteOffset, 4 * blockCount).set(bytes.subarray(0, 4 * blockCount));
};

export const dequantizeF16: Dequantize = (bytes, blockCount, out) => {
  f16ToF32(bytes.subarray(0, 2 * blockCount), out);
};

export const dequantizeBF16: Dequantize = (bytes, blockCount, out) => {
  bf16ToF32(bytes.subarray(0, 2 * blockCount), out);
};
