/** Scalar types of metadata: their number on disk and width in bytes (`enum gguf_type` in gguf.h). */
export const SCALARS = {
  UINT8: { id: 0, bytes: 1 },
  INT8: { id: 1, bytes: 1 },
  UINT16: { id: 2, bytes: 2 },
  INT16: { id: 3, bytes: 2 },
  UINT32: { id: 4, bytes: 4 },
  INT32: { id: 5, bytes: 4 },
  FLOAT32: { id: 6, bytes: 4 },
  BOOL: { id: 7, bytes: 1 },
  UINT64: { id: 10, bytes: 8 },
  INT64: { id: 11, bytes: 8 },
  FLOAT64: { id: 12, bytes: 8 },
} as const;

/** A scalar type of metadata. */
export type ScalarType = keyof typeof SCALARS;
/** A type of metadata, as gguf.h names it. */
export type GgufValueType = ScalarType | "STRING" | "ARRAY";

const STRING_ID = 8;
const ARRAY_ID = 9;

/** Values of one type in a row; arrays may hold arrays. */
export interface GgufArray {
  readonly type: "ARRAY";
  readonly elementType: GgufValueType;
  readonly values: readonly (number | bigint | boolean | string)[] | readonly GgufArray[];
}

/** A value of the metadata with the type that it has on disk. */
export type GgufValue =
  | { readonly type: Exclude<ScalarType, "BOOL" | "UINT64" | "INT64">; readonly value: number }
  | { readonly type: "UINT64" | "INT64"; readonly value: bigint }
  | { readonly type: "BOOL"; readonly value: boolean }
  | { readonly type: "STRING"; readonly value: string }
  | GgufArray;

/** Metadata by key, in the order of the file. */
export type GgufMetadata = ReadonlyMap<string, GgufValue>;

const BY_ID = new Map<number, GgufValueType>([
  ...Object.entries(SCALARS).map(([name, { id }]) => [id, name as ScalarType] as const),
  [STRING_ID, "STRING"],
  [ARRAY_ID, "ARRAY"],
]);

/** The type with a number; undefined if there is none. */
export function valueTypeOf(id: number): GgufValueType | undefined {
  return BY_ID.get(id);
}

/** The number of a type on disk. */
export function idOfValueType(type: GgufValueType): number {
  if (type === "STRING") return STRING_ID;
  return type === "ARRAY" ? ARRAY_ID : SCALARS[type].id;
}

/** Fewest bytes that a value of the type takes: what a count can be held against before anything is made. */
export function leastBytes(type: GgufValueType): number {
  if (type === "STRING") return 8;
  return type === "ARRAY" ? 12 : SCALARS[type].bytes;
}
