import { InternalError } from "../../core/index.ts";
import { GGML_TYPES, type GgmlType } from "../../formats/index.ts";
import type { Dequantize } from "./block-codec.ts";
import { dequantizeBF16, dequantizeF16, dequantizeF32 } from "./floats.ts";
import { dequantizeQ2_K } from "./q2-k.ts";
import { dequantizeQ3_K } from "./q3-k.ts";
import { dequantizeQ4_0 } from "./q4-0.ts";
import { dequantizeQ4_1 } from "./q4-1.ts";
import { dequantizeQ4_K } from "./q4-k.ts";
import { dequantizeQ5_0 } from "./q5-0.ts";
import { dequantizeQ5_1 } from "./q5-1.ts";
import { dequantizeQ5_K } from "./q5-k.ts";
import { dequantizeQ6_K } from "./q6-k.ts";
import { dequantizeQ8_0 } from "./q8-0.ts";

const CODECS = {
  F32: dequantizeF32,
  F16: dequantizeF16,
  BF16: dequantizeBF16,
  Q8_0: dequantizeQ8_0,
  Q4_0: dequantizeQ4_0,
  Q4_1: dequantizeQ4_1,
  Q5_0: dequantizeQ5_0,
  Q5_1: dequantizeQ5_1,
  Q2_K: dequantizeQ2_K,
  Q3_K: dequantizeQ3_K,
  Q4_K: dequantizeQ4_K,
  Q5_K: dequantizeQ5_K,
  Q6_K: dequantizeQ6_K,
} as const satisfies Partial<Record<GgmlType, Dequantize>>;

/** A type whose blocks can be turned into fp32 here. */
export type ReadableGgmlType = keyof typeof CODECS;

/** All types whose blocks can be turned into fp32 here. */
export const READABLE_GGML_TYPES = Object.keys(CODECS) as readonly ReadableGgmlType[];

/** Whether blocks of this type can be turned into fp32 here. */
export function isReadableGgmlType(type: GgmlType): type is ReadableGgmlType {
  return Object.hasOwn(CODECS, type);
}

/**
 * Blocks of a ggml type → fp32, bit for bit as the PyPI package gguf (0.19) does it
 * (NaNs stay NaN, of any payload).
 *
 * @param bytes whole blocks
 * @param out as many elements as they hold; made if it is not given
 */
export function dequantizeGguf(type: ReadableGgmlType, bytes: Uint8Array, out?: Float32Array): Float32Array {
  const { values, bytes: blockBytes } = GGML_TYPES[type];
  const blockCount = bytes.byteLength / blockBytes;
  if (!Number.isInteger(blockCount)) throw new InternalError(`${bytes.byteLength} bytes are no whole blocks of ${type}`);
  const target = out ?? new Float32Array(blockCount * values);
  if (target.length < blockCount * values)
    throw new InternalError(`dequantizing ${blockCount * values} values into a buffer of ${target.length}`);
  CODECS[type](bytes, blockCount, target);
  return target;
}
