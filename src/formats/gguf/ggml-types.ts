import { elementCount } from "../dtypes.ts";

/** Number of a type on disk, values in a block, bytes of a block. */
interface BlockShape {
  readonly id: number;
  readonly values: number;
  readonly bytes: number;
}

/**
 * The tensor types of ggml (`enum ggml_type` and its type traits in ggml.h of
 * 2026, as the PyPI package gguf 0.19 lists them). All are here, so that the
 * tensors of any file can be placed; which can be dequantized is said by codecs/gguf.
 */
const TYPES = {
  F32: { id: 0, values: 1, bytes: 4 },
  F16: { id: 1, values: 1, bytes: 2 },
  Q4_0: { id: 2, values: 32, bytes: 18 },
  Q4_1: { id: 3, values: 32, bytes: 20 },
  Q5_0: { id: 6, values: 32, bytes: 22 },
  Q5_1: { id: 7, values: 32, bytes: 24 },
  Q8_0: { id: 8, values: 32, bytes: 34 },
  Q8_1: { id: 9, values: 32, bytes: 40 },
  Q2_K: { id: 10, values: 256, bytes: 84 },
  Q3_K: { id: 11, values: 256, bytes: 110 },
  Q4_K: { id: 12, values: 256, bytes: 144 },
  Q5_K: { id: 13, values: 256, bytes: 176 },
  Q6_K: { id: 14, values: 256, bytes: 210 },
  Q8_K: { id: 15, values: 256, bytes: 292 },
  IQ2_XXS: { id: 16, values: 256, bytes: 66 },
  IQ2_XS: { id: 17, values: 256, bytes: 74 },
  IQ3_XXS: { id: 18, values: 256, bytes: 98 },
  IQ1_S: { id: 19, values: 256, bytes: 50 },
  IQ4_NL: { id: 20, values: 32, bytes: 18 },
  IQ3_S: { id: 21, values: 256, bytes: 110 },
  IQ2_S: { id: 22, values: 256, bytes: 82 },
  IQ4_XS: { id: 23, values: 256, bytes: 136 },
  I8: { id: 24, values: 1, bytes: 1 },
  I16: { id: 25, values: 1, bytes: 2 },
  I32: { id: 26, values: 1, bytes: 4 },
  I64: { id: 27, values: 1, bytes: 8 },
  F64: { id: 28, values: 1, bytes: 8 },
  IQ1_M: { id: 29, values: 256, bytes: 56 },
  BF16: { id: 30, values: 1, bytes: 2 },
  TQ1_0: { id: 34, values: 256, bytes: 54 },
  TQ2_0: { id: 35, values: 256, bytes: 66 },
  MXFP4: { id: 39, values: 32, bytes: 17 },
  NVFP4: { id: 40, values: 64, bytes: 36 },
  Q1_0: { id: 41, values: 128, bytes: 18 },
} as const satisfies Record<string, BlockShape>;

/** A tensor type of ggml by its name: `Q4_K`. */
export type GgmlType = keyof typeof TYPES;

/** Block of each type: how many values in how many bytes. */
export const GGML_TYPES: Readonly<Record<GgmlType, BlockShape>> = TYPES;

/** Types that ggml once had under these numbers and gave up. */
const REMOVED: Readonly<Record<number, string>> = {
  4: "Q4_2",
  5: "Q4_3",
  31: "Q4_0_4_4",
  32: "Q4_0_4_8",
  33: "Q4_0_8_8",
  36: "IQ4_NL_4_4",
  37: "IQ4_NL_4_8",
  38: "IQ4_NL_8_8",
};

const BY_ID = new Map(Object.entries(TYPES).map(([name, { id }]) => [id as number, name as GgmlType]));

/** The type with a number; undefined if there is none. */
export function ggmlTypeOf(id: number): GgmlType | undefined {
  return BY_ID.get(id);
}

/** What to call a number that is no type of today. */
export function unknownTypeText(id: number): string {
  const removed = REMOVED[id];
  return removed === undefined ? `type ${id}, which is not known` : `${removed}, which llama.cpp has given up`;
}

/** Bytes of a tensor; undefined if a row is not a whole number of blocks, or the size no safe whole number. */
export function ggmlBytes(type: GgmlType, shape: readonly number[]): number | undefined {
  const { values, bytes } = GGML_TYPES[type];
  const count = elementCount(shape);
  if (count === undefined || (shape.at(-1) ?? 1) % values !== 0) return undefined;
  const size = (count / values) * bytes;
  return Number.isSafeInteger(size) ? size : undefined;
}
