import { f16Values } from "../float16.ts";

/**
 * Blocks of one type → fp32, in order. Every value is rounded as the PyPI
 * package gguf (0.19) rounds it: products and sums of fp32, each once.
 *
 * @param blockCount how many blocks of `bytes` there are
 * @param out at least as many elements as these blocks hold
 */
export type Dequantize = (bytes: Uint8Array, blockCount: number, out: Float32Array) => void;

/** The fp16 number at an offset. */
export function f16At(bytes: Uint8Array, at: number): number {
  return f16Values()[(bytes[at] as number) | ((bytes[at + 1] as number) << 8)] as number;
}

/** Signed value of a byte. */
export function signed(byte: number): number {
  return (byte << 24) >> 24;
}
