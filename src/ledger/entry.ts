import { isSafetensorsDtype, tensorBytes } from "../formats/index.ts";
import type { LedgerEntry } from "./types.ts";

/** bitsandbytes' block sizes: values per scale, and scales per scale of the second level. */
const NF4_BLOCK = 64;
const NF4_NESTED_BLOCK = 256;

/** Number of values of a shape. */
export function countOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/**
 * Bytes of a tensor. For NF4: codes, scales and, with double quantization, the
 * second level; the two code tables (1.1 kB, the same for all tensors) are left out.
 */
export function bytesOf(dtype: string, shape: readonly number[], doubleQuant = false): number {
  const count = countOf(shape);
  if (dtype !== "NF4") return isSafetensorsDtype(dtype) ? (tensorBytes(dtype, shape) ?? 0) : 0;
  const blocks = Math.ceil(count / NF4_BLOCK);
  // fp32 scales; or a byte each, with an fp32 scale per 256 of them and one fp32 offset.
  const scales = doubleQuant ? blocks + 4 * Math.ceil(blocks / NF4_NESTED_BLOCK) + 4 : 4 * blocks;
  return Math.ceil(count / 2) + scales;
}

/** An entry, with its counts worked out. */
export function entryOf(facts: Omit<LedgerEntry, "bytes" | "parameters" | "state"> & { readonly bytes?: number }): LedgerEntry {
  return { ...facts, bytes: facts.bytes ?? bytesOf(facts.dtype, facts.shape), parameters: countOf(facts.shape), state: "present" };
}
