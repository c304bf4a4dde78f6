import { HeirloomError } from "../core/index.ts";
import { type Bnb4bitNested, NF4_CODEBOOK } from "../formats/index.ts";
import { quantizeScales } from "./nf4-scales.ts";

/** A weight in NF4; blocks run over the row-major elements, not per row. */
export interface Nf4Tensor {
  /** Two codes per byte, the first element in the high nibble; an odd count is padded with code 7 (0.0). */
  readonly packed: Uint8Array;
  /** Scale per block; restored from `nested` if the scales were quantized themselves. */
  readonly absmax: Float32Array;
  readonly shape: readonly number[];
  readonly blockSize: number;
  readonly nested?: Bnb4bitNested;
}

/** How a tensor is quantized to NF4. */
export interface QuantizeNf4Options {
  /** @defaultValue one dimension of all values */
  readonly shape?: readonly number[];
  /** Values per scale; even. @defaultValue 64, as QLoRA and bitsandbytes */
  readonly blockSize?: number;
  /** Quantize the scales to 8 bits as well. @defaultValue false */
  readonly doubleQuant?: boolean;
}

/** Smallest divisor (bitsandbytes `quantize_4bit`): an all-zero block would divide by zero. */
const TINY = Math.fround(1e-38);

/** Midpoints between neighbouring codes, in fp32. */
const MIDPOINTS = NF4_CODEBOOK.slice(1).map((upper, i) => Math.fround(Math.fround(upper + (NF4_CODEBOOK[i] as number)) / 2));

/**
 * Code of a scaled value x in [−1, 1] = number of midpoints strictly below x.
 * The interval is cut into 256 cells; the nearest two midpoints are 0.081 apart,
 * so a cell of 1/128 holds at most one, and one comparison settles the rest.
 */
const CELLS = 256;
const CELL_CODE = new Uint8Array(CELLS + 1);
const CELL_MIDPOINT = new Float32Array(CELLS + 1);
const cellOf = (x: number): number => ((x + 1) * (CELLS / 2)) | 0;
for (let cell = 0; cell <= CELLS; cell++) {
  CELL_CODE[cell] = MIDPOINTS.filter((midpoint) => cellOf(midpoint) < cell).length;
  CELL_MIDPOINT[cell] = MIDPOINTS.find((midpoint) => cellOf(midpoint) === cell) ?? Number.POSITIVE_INFINITY;
}

function codeOf(scaled: number): number {
  const cell = cellOf(scaled);
  return (CELL_CODE[cell] as number) + (scaled > (CELL_MIDPOINT[cell] as number) ? 1 : 0);
}

/** Largest magnitude of a block; NaN if one of its values is NaN or infinite. */
function blockScale(values: Float32Array, start: number, end: number): number {
  let largest = 0;
  let sum = 0;
  for (let i = start; i < end; i++) {
    const size = Math.abs(values[i] as number);
    // At most 4096 fp32 values: their sum in fp64 overflows only if one is infinite.
    sum += size;
    if (size > largest) largest = size;
  }
  return sum < Number.POSITIVE_INFINITY ? largest : Number.NaN;
}

/** Codes of one whole block into `packed`; scaled by the fp32 reciprocal, as bitsandbytes does. */
function packBlock(values: Float32Array, start: number, end: number, scale: number, packed: Uint8Array): void {
  const inverse = Math.fround(1 / Math.max(scale, TINY));
  for (let i = start; i < end; i += 2) {
    // A rounded reciprocal can push the largest value a little past 1.
    const first = Math.max(-1, Math.min(1, Math.fround((values[i] as number) * inverse)));
    const second = Math.max(-1, Math.min(1, Math.fround((values[i + 1] as number) * inverse)));
    packed[i >> 1] = (codeOf(first) << 4) | codeOf(second);
  }
}

/** The last, partial block is divided by its scale instead (bitsandbytes, CPU). */
function packTail(values: Float32Array, start: number, scale: number, packed: Uint8Array): void {
  for (let i = start; i < values.length; i += 2) {
    const first = Math.fround((values[i] as number) / scale);
    const second = i + 1 < values.length ? Math.fround((values[i + 1] as number) / scale) : 0;
    packed[i >> 1] = (codeOf(first) << 4) | codeOf(second);
  }
}

function notFinite(values: Float32Array, start: number): HeirloomError {
  let index = start;
  while (Number.isFinite(values[index])) index++;
  return new HeirloomError("TENSOR_NOT_FINITE", `expected finite values to quantize, found ${values[index]} at element ${index}`, {
    hint: "the weights are damaged or come from a run that diverged",
    details: { index },
  });
}

/**
 * Quantizes to NF4, code for code as bitsandbytes 0.50 does on a CPU.
 *
 * @param values row-major fp32 values (bf16 and fp16 weights are widened first, which is exact)
 * @throws HeirloomError `TENSOR_NOT_FINITE`
 */
export function quantizeNf4(values: Float32Array, options: QuantizeNf4Options = {}): Nf4Tensor {
  const blockSize = options.blockSize ?? 64;
  const packed = new Uint8Array(Math.ceil(values.length / 2));
  const absmax = new Float32Array(Math.ceil(values.length / blockSize));
  for (let block = 0; block < absmax.length; block++) {
    const start = block * blockSize;
    const end = Math.min(start + blockSize, values.length);
    const scale = blockScale(values, start, end);
    if (Number.isNaN(scale)) throw notFinite(values, start);
    const whole = end - start === blockSize;
    absmax[block] = whole ? scale : Math.max(scale, TINY);
    if (whole) packBlock(values, start, end, scale, packed);
    else packTail(values, start, absmax[block] as number, packed);
  }
  const base = { packed, shape: options.shape ?? [values.length], blockSize };
  return options.doubleQuant === true ? { ...base, ...quantizeScales(absmax) } : { ...base, absmax };
}
