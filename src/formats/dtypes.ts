/**
 * The dtypes of the safetensors format with their width in bits, in the
 * library's order (`Dtype` in safetensors/src/tensor.rs, 0.8). The order is
 * part of the format in practice: files are laid out by descending rank in it.
 */
const BITS = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
} as const;

/** A dtype as a safetensors header spells it. */
export type SafetensorsDtype = keyof typeof BITS;

const RANK = new Map(Object.keys(BITS).map((name, rank) => [name, rank]));

/** All dtypes of the format, in the library's order. */
export const SAFETENSORS_DTYPES: readonly SafetensorsDtype[] = Object.keys(BITS) as SafetensorsDtype[];

/** Whether `value` names a dtype of the safetensors format. */
export function isSafetensorsDtype(value: unknown): value is SafetensorsDtype {
  return typeof value === "string" && Object.hasOwn(BITS, value);
}

/** Position of `dtype` in the library's order. */
export function dtypeRank(dtype: SafetensorsDtype): number {
  return RANK.get(dtype) as number;
}

/** Width of one element in bits (4 and 6 exist). */
export function dtypeBits(dtype: SafetensorsDtype): number {
  return BITS[dtype];
}

/** Number of elements of a shape; `undefined` if it is not a safe whole number. */
export function elementCount(shape: readonly number[]): number | undefined {
  let count = 1;
  for (const size of shape) {
    count *= size;
    // A zero further on would make the product zero, but the library's checked
    // multiplication refuses the overflow as well.
    if (!Number.isSafeInteger(count)) return undefined;
  }
  return count;
}

/** Bytes of a tensor; `undefined` if that is not a safe whole number (sub-byte dtypes must fill their last byte). */
export function tensorBytes(dtype: SafetensorsDtype, shape: readonly number[]): number | undefined {
  const count = elementCount(shape);
  if (count === undefined) return undefined;
  const bits = count * BITS[dtype];
  return Number.isSafeInteger(bits) && bits % 8 === 0 ? bits / 8 : undefined;
}
