import { printable } from "../printable.ts";
import type { Cursor } from "./cursor.ts";
import { type GgufArray, type GgufValue, type GgufValueType, leastBytes, SCALARS, type ScalarType, valueTypeOf } from "./values.ts";

/*
 * Layout: key (u64 length, UTF-8) | u32 type | value. A string is u64 length and
 * UTF-8; an array is u32 type of its elements, u64 count, and these.
 *
 * Limits, and why:
 */
/** The specification's own limit of a key. */
const MAX_KEY_BYTES = 65_535;
/** The longest chat templates have 40 kB; a grammar or licence text may be longer. */
const MAX_STRING_BYTES = 16_777_216;
/** All values of a file: Gemma 3 has 3 arrays of 262,208 and 514,906 merges, 1.3 M. */
const MAX_VALUES = 8_000_000;
/** llama.cpp itself refuses arrays in arrays; the specification allows them. */
const MAX_DEPTH = 4;

/** How many values may still come. */
interface Budget {
  values: number;
}

/** A fresh {@link Budget}. */
function valueBudget(): Budget {
  return { values: MAX_VALUES };
}

function typeAt(cursor: Cursor, key: string): GgufValueType {
  const id = cursor.u32();
  const type = valueTypeOf(id);
  if (type === undefined) throw cursor.invalid(`${printable(key, 80)}: expected a type of metadata, found the number ${id}`);
  return type;
}

function scalar(cursor: Cursor, type: ScalarType, key: string): number | bigint | boolean {
  const { view } = cursor;
  const at = cursor.take(SCALARS[type].bytes);
  switch (type) {
    case "UINT8":
      return view.getUint8(at);
    case "INT8":
      return view.getInt8(at);
    case "UINT16":
      return view.getUint16(at, true);
    case "INT16":
      return view.getInt16(at, true);
    case "UINT32":
      return view.getUint32(at, true);
    case "INT32":
      return view.getInt32(at, true);
    case "FLOAT32":
      return view.getFloat32(at, true);
    case "FLOAT64":
      return view.getFloat64(at, true);
    case "UINT64":
      return view.getBigUint64(at, true);
    case "INT64":
      return view.getBigInt64(at, true);
    case "BOOL": {
      const byte = view.getUint8(at);
      if (byte > 1) throw cursor.invalid(`${printable(key, 80)}: expected a truth value of 0 or 1, found ${byte}`);
      return byte === 1;
    }
  }
}

function array(cursor: Cursor, key: string, budget: Budget, depth: number): GgufArray {
  if (depth > MAX_DEPTH) throw cursor.invalid(`${printable(key, 80)}: expected arrays at most ${MAX_DEPTH} deep, found deeper ones`);
  const elementType = typeAt(cursor, key);
  const count = cursor.count(`${printable(key, 80)}: a count of values`, budget.values);
  budget.values -= count;
  cursor.require(count * leastBytes(elementType));
  if (elementType === "ARRAY") {
    const arrays: GgufArray[] = [];
    for (let i = 0; i < count; i++) arrays.push(array(cursor, key, budget, depth + 1));
    return { type: "ARRAY", elementType, values: arrays };
  }
  const values: (number | bigint | boolean | string)[] = [];
  for (let i = 0; i < count; i++)
    values.push(elementType === "STRING" ? cursor.text(`${printable(key, 80)}[${i}]`, MAX_STRING_BYTES) : scalar(cursor, elementType, key));
  return { type: "ARRAY", elementType, values };
}

function value(cursor: Cursor, key: string, budget: Budget): GgufValue {
  const type = typeAt(cursor, key);
  if (type === "ARRAY") return array(cursor, key, budget, 1);
  if (type === "STRING") return { type, value: cursor.text(printable(key, 80), MAX_STRING_BYTES) };
  // Each type has the kind of value that scalar() gives for it.
  return { type, value: scalar(cursor, type, key) } as GgufValue;
}

/** Reads `count` keys with their values. @throws GGUF_INVALID; NeedsMore */
export function readMetadata(cursor: Cursor, count: number): Map<string, GgufValue> {
  const metadata = new Map<string, GgufValue>();
  const budget = valueBudget();
  for (let i = 0; i < count; i++) {
    const key = cursor.text("a metadata key", MAX_KEY_BYTES);
    if (metadata.has(key)) throw cursor.invalid(`expected every metadata key once, found ${printable(key, 80)} twice`);
    metadata.set(key, value(cursor, key, budget));
  }
  return metadata;
}
