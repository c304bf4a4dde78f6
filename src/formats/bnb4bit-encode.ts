import { type Bnb4bitNested, NF4_CODEBOOK } from "./bnb4bit.ts";
import { elementCount } from "./dtypes.ts";
import { pythonFloat } from "./python-json.ts";
import type { TensorToWrite } from "./safetensors-encode.ts";

/** An NF4 weight to be written, before its values are at hand. */
export interface Bnb4bitToWrite {
  readonly name: string;
  readonly shape: readonly number[];
  readonly blockSize: number;
  /** Dtype that the weight had, as torch names it: "bfloat16", "float16", "float32". */
  readonly dtype: string;
  /** Of doubly quantized scales all but their codes: the mean stands in the header. Null without. */
  readonly nested: Omit<Bnb4bitNested, "absmax"> | null;
}

/** Codes and scales of a weight, made when they are written. */
interface Bnb4bitValues {
  readonly packed: Uint8Array;
  readonly absmax: Float32Array;
  readonly nested?: Pick<Bnb4bitNested, "absmax">;
}

/** What `QuantState.as_dict(packed=True)` of bitsandbytes puts into the state, byte for byte as Python's `json.dumps` writes it. */
function stateJson({ blockSize, dtype, shape, nested }: Bnb4bitToWrite): Uint8Array {
  const own = `"quant_type": "nf4", "blocksize": ${blockSize}, "dtype": "${dtype}", "shape": [${shape.join(", ")}]`;
  const scales =
    nested === null
      ? ""
      : `, "nested_blocksize": ${nested.blockSize}, "nested_dtype": "float32", "nested_offset": ${pythonFloat(nested.offset)}`;
  return new TextEncoder().encode(`{${own}${scales}}`);
}

const bytesOf = (values: Float32Array): Uint8Array => new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

/**
 * The tensors of a weight in bitsandbytes' 4-bit layout (see bnb4bit.ts), as `Linear4bit` saves them.
 *
 * @param values makes codes and scales; called for each of the two tensors that they are in
 */
export function bnb4bitTensors(weight: Bnb4bitToWrite, values: () => Promise<Bnb4bitValues>): TensorToWrite[] {
  const { name, shape, blockSize, nested } = weight;
  const count = elementCount(shape) ?? 0;
  const blocks = Math.ceil(count / blockSize);
  const state = stateJson(weight);
  const made = (pick: (made: Bnb4bitValues) => Uint8Array) =>
    async function* (): AsyncGenerator<Uint8Array, void, undefined> {
      yield pick(await values());
    };
  const map = Float32Array.from(NF4_CODEBOOK);
  const tensors: TensorToWrite[] = [
    { name, dtype: "U8", shape: [Math.ceil(count / 2), 1], chunks: made(({ packed }) => packed) },
    { name: `${name}.quant_map`, dtype: "F32", shape: [map.length], chunks: () => [bytesOf(map)] },
    { name: `${name}.quant_state.bitsandbytes__nf4`, dtype: "U8", shape: [state.byteLength], chunks: () => [state] },
  ];
  if (nested === null)
    return [...tensors, { name: `${name}.absmax`, dtype: "F32", shape: [blocks], chunks: made(({ absmax }) => bytesOf(absmax)) }];
  const { nestedAbsmax, quantMap } = nested;
  return [
    ...tensors,
    { name: `${name}.absmax`, dtype: "U8", shape: [blocks], chunks: made((found) => found.nested?.absmax ?? new Uint8Array(0)) },
    { name: `${name}.nested_absmax`, dtype: "F32", shape: [nestedAbsmax.length], chunks: () => [bytesOf(nestedAbsmax)] },
    { name: `${name}.nested_quant_map`, dtype: "F32", shape: [quantMap.length], chunks: () => [bytesOf(quantMap)] },
  ];
}
