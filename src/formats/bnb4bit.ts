import { HeirloomError, ProblemList } from "../core/index.ts";
import { elementCount } from "./dtypes.ts";
import { decodeUtf8, parseJson } from "./json.ts";
import { describeValue, printable } from "./printable.ts";
import { requireTensor, type StoredTensor, type TensorFile } from "./tensor-file.ts";

/*
 * A 4-bit weight X as bitsandbytes 0.4x to 0.50 stores it (QuantState.as_dict):
 *
 *   X                          U8 [ceil(n/2), 1]; first element in the high nibble; row-major
 *   X.absmax                   F32 [blocks], or U8 [blocks] when double-quantized
 *   X.quant_map                F32 [16]
 *   X.nested_absmax            F32 [ceil(blocks/256)]        only when double-quantized
 *   X.nested_quant_map         F32 [256]                     only when double-quantized
 *   X.quant_state.bitsandbytes__nf4 (or __fp4)   U8: JSON { quant_type, blocksize, dtype, shape,
 *                                                 nested_blocksize, nested_dtype, nested_offset }
 */
const QUANT_TYPES = ["nf4", "fp4"] as const;
const PARTS = ["absmax", "quant_map", "nested_absmax", "nested_quant_map"] as const;
/** The JSON has about 170 bytes; a shape of 64 long dimensions stays under 2 kB. */
const MAX_STATE_BYTES = 4_096;
/** bitsandbytes allows powers of two from 32 (GPU) or 64 to 4096. */
const MAX_BLOCK_SIZE = 4_096;
const QUANT_MAP_LENGTH = 16;
const NESTED_MAP_LENGTH = 256;

/**
 * The 16 values of NF4 (QLoRA, appendix E), as bitsandbytes' `get_4bit_type`
 * has them: each is exact in fp32.
 */
export const NF4_CODEBOOK: readonly number[] = [
  -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0,
  0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
  0.7229568362236023, 1,
];

/** Double quantization as bitsandbytes stores it: the block scales as 8-bit codes with scales and an offset of their own. */
export interface Bnb4bitNested {
  /** Codes into `quantMap`, one per block of the weight. */
  readonly absmax: Uint8Array;
  /** Scale of each `blockSize` codes. */
  readonly nestedAbsmax: Float32Array;
  readonly quantMap: Float32Array;
  readonly offset: number;
  readonly blockSize: number;
}

/** An NF4 weight with its scales; what the codes stand for is {@link NF4_CODEBOOK}. */
export interface Bnb4bitTensor {
  readonly name: string;
  readonly packed: Uint8Array;
  /** Scale per block, restored if it was quantized itself. */
  readonly absmax: Float32Array;
  /** The quantized scales, if the file has double quantization. */
  readonly nested?: Bnb4bitNested;
  readonly shape: readonly number[];
  readonly blockSize: number;
  readonly quantType: "nf4";
  /** Dtype that the weight had, as torch names it: "bfloat16", "float16", "float32". */
  readonly dtype: string;
}

const stateName = (name: string, type: string): string => `${name}.quant_state.bitsandbytes__${type}`;

/** Whether `name` is a bitsandbytes 4-bit weight. */
export function isBnb4bit(file: Pick<TensorFile, "tensors">, name: string): boolean {
  return QUANT_TYPES.some((type) => file.tensors.has(stateName(name, type)));
}

/** Names of all 4-bit weights of a file, in the file's order. */
export function bnb4bitNames(file: Pick<TensorFile, "tensors">): string[] {
  const names: string[] = [];
  for (const name of file.tensors.keys()) {
    const match = /^(.+)\.quant_state\.bitsandbytes__(?:nf4|fp4)$/.exec(name);
    if (match !== null) names.push(match[1] as string);
  }
  return names;
}

/** Names of the tensors that belong to the 4-bit weight `name`, itself left out. */
export function bnb4bitParts(file: Pick<TensorFile, "tensors">, name: string): string[] {
  return [...PARTS.map((part) => `${name}.${part}`), ...QUANT_TYPES.map((type) => stateName(name, type))].filter((part) =>
    file.tensors.has(part),
  );
}

/** The floats of a little-endian F32 tensor, in memory of their own. */
async function readFloats(file: TensorFile, name: string): Promise<Float32Array> {
  const { dtype } = requireTensor(file, name);
  if (dtype !== "F32")
    throw new HeirloomError("BNB_INVALID", `${printable(name)}: expected dtype F32, found ${dtype}`, { where: printable(file.name) });
  // Not `slice`, which on a Node Buffer gives a view of the same memory.
  return new Float32Array(new Uint8Array(await file.read(name)).buffer);
}

interface QuantState {
  readonly shape: readonly number[];
  readonly count: number;
  readonly blockSize: number;
  readonly dtype: string;
  readonly nested: { readonly blockSize: number; readonly offset: number } | null;
}

const isBlockSize = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) <= MAX_BLOCK_SIZE;

function checkState(json: unknown, where: string): QuantState {
  const state = (typeof json === "object" && json !== null ? json : {}) as Readonly<Record<string, unknown>>;
  const problems = new ProblemList();
  const expect = (holds: boolean, key: string, expected: string): void => {
    if (!holds) problems.add("BNB_INVALID", `${key}: expected ${expected}, found ${describeValue(state[key])}`, { where });
  };
  const { shape, blocksize, dtype, nested_blocksize: nestedBlocksize, nested_offset: offset } = state;
  const isShape = Array.isArray(shape) && shape.every((size) => Number.isSafeInteger(size) && size >= 0);
  const count = isShape ? elementCount(shape as number[]) : undefined;
  expect(state["quant_type"] === "nf4", "quant_type", '"nf4"');
  expect(count !== undefined && count > 0, "shape", "a list of positive whole numbers");
  expect(isBlockSize(blocksize), "blocksize", `a whole number from 1 to ${MAX_BLOCK_SIZE}`);
  expect(typeof dtype === "string", "dtype", "a text");
  const hasNested = nestedBlocksize !== undefined || offset !== undefined;
  if (hasNested) {
    expect(isBlockSize(nestedBlocksize), "nested_blocksize", `a whole number from 1 to ${MAX_BLOCK_SIZE}`);
    expect(typeof offset === "number" && Number.isFinite(offset), "nested_offset", "a finite number");
  }
  problems.throwIfAny();
  return {
    shape: shape as number[],
    count: count as number,
    blockSize: blocksize as number,
    dtype: dtype as string,
    nested: hasNested ? { blockSize: nestedBlocksize as number, offset: offset as number } : null,
  };
}

async function readState(file: TensorFile, name: string): Promise<QuantState> {
  const entry = requireTensor(file, stateName(name, "nf4"));
  const where = `${printable(file.name)}, ${printable(entry.name)}`;
  const bytes = entry.end - entry.start;
  if (entry.dtype !== "U8" || bytes > MAX_STATE_BYTES) {
    throw new HeirloomError(
      "BNB_INVALID",
      `expected at most ${MAX_STATE_BYTES} bytes of JSON as U8, found ${bytes} bytes as ${entry.dtype}`,
      { where },
    );
  }
  return checkState(parseJson(decodeUtf8(await file.read(entry.name), where), where), where);
}

/** Holds the sizes of all parts against the state, before any of them is read. */
function checkSizes(file: TensorFile, name: string, state: QuantState): void {
  const problems = new ProblemList();
  const blocks = Math.ceil(state.count / state.blockSize);
  const expect = (part: string, bytes: number, dtype: string | null): void => {
    const entry: StoredTensor | undefined = file.tensors.get(part);
    if (entry === undefined)
      problems.add("BNB_INVALID", `expected a tensor ${printable(part)}, found none`, { where: printable(file.name) });
    else if (entry.end - entry.start !== bytes || (dtype !== null && entry.dtype !== dtype)) {
      const found = `${entry.end - entry.start} bytes of ${entry.dtype}`;
      problems.add("BNB_INVALID", `${printable(part)}: expected ${bytes} bytes${dtype === null ? "" : ` of ${dtype}`}, found ${found}`, {
        where: printable(file.name),
      });
    }
  };
  // `bnb_4bit_quant_storage` may give the packed bytes another dtype.
  expect(name, Math.ceil(state.count / 2), null);
  expect(`${name}.quant_map`, 4 * QUANT_MAP_LENGTH, "F32");
  if (state.nested === null) expect(`${name}.absmax`, 4 * blocks, "F32");
  else {
    expect(`${name}.absmax`, blocks, "U8");
    expect(`${name}.nested_absmax`, 4 * Math.ceil(blocks / state.nested.blockSize), "F32");
    expect(`${name}.nested_quant_map`, 4 * NESTED_MAP_LENGTH, "F32");
  }
  problems.throwIfAny();
}

/**
 * The scales `first` to `first + count − 1` as bitsandbytes restores them, into the start of `out`.
 *
 * @defaultValue all of them, in a new array
 */
export function restoreAbsmax(
  nested: Bnb4bitNested,
  first = 0,
  count = nested.absmax.length - first,
  out: Float32Array = new Float32Array(count),
): Float32Array {
  const { absmax: codes, nestedAbsmax, quantMap, offset, blockSize } = nested;
  const shift = Math.fround(offset);
  for (let i = 0; i < count; i++) {
    const at = first + i;
    const scaled = Math.fround((quantMap[codes[at] as number] as number) * (nestedAbsmax[Math.floor(at / blockSize)] as number));
    out[i] = scaled + shift;
  }
  return out;
}

async function readScales(file: TensorFile, name: string, state: QuantState): Promise<Pick<Bnb4bitTensor, "absmax" | "nested">> {
  if (state.nested === null) return { absmax: await readFloats(file, `${name}.absmax`) };
  const nested: Bnb4bitNested = {
    absmax: await file.read(`${name}.absmax`),
    nestedAbsmax: await readFloats(file, `${name}.nested_absmax`),
    quantMap: await readFloats(file, `${name}.nested_quant_map`),
    ...state.nested,
  };
  return { absmax: restoreAbsmax(nested), nested };
}

/**
 * Reads one bitsandbytes NF4 weight with its quantization state.
 *
 * @throws HeirloomError `BNB_INVALID` if a part is missing or contradicts the state, or a scale is not finite;
 * `QUANTIZATION_UNSUPPORTED` for FP4; `TENSOR_MISSING` if `name` is no 4-bit weight
 */
export async function readBnb4bit(file: TensorFile, name: string): Promise<Bnb4bitTensor> {
  const where = `${printable(file.name)}, ${printable(name)}`;
  if (file.tensors.has(stateName(name, "fp4"))) {
    throw new HeirloomError("QUANTIZATION_UNSUPPORTED", "expected NF4, found FP4", {
      where,
      hint: "quantize the base again with bnb_4bit_quant_type nf4",
    });
  }
  const state = await readState(file, name);
  checkSizes(file, name, state);
  const map = await readFloats(file, `${name}.quant_map`);
  if (!map.every((value, code) => value === NF4_CODEBOOK[code])) {
    throw new HeirloomError("BNB_INVALID", "expected the NF4 values in quant_map, found others", { where });
  }
  const scales = await readScales(file, name, state);
  if (!scales.absmax.every(Number.isFinite))
    throw new HeirloomError("BNB_INVALID", "expected finite scales, found NaN or infinity in absmax", { where });
  return {
    name,
    packed: await file.read(name),
    ...scales,
    shape: state.shape,
    blockSize: state.blockSize,
    quantType: "nf4",
    dtype: state.dtype,
  };
}
