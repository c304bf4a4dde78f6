// NF4 weights that look like quantized normal numbers, at the price of a copy: a few million normal numbers are quantized once,
// and every weight is a sequence of whole groups of them, drawn by its name. Nothing that a benchmark measures can tell.
import { quantizeNf4 } from "../../src/codecs/index.ts";
import { InternalError, nameKey, philox } from "../../src/core/index.ts";
import { bnb4bitTensors, type TensorToWrite } from "../../src/formats/index.ts";
import type { ParameterSpec } from "../../src/model/index.ts";

/** As QLoRA, bitsandbytes and training here. */
const BLOCK_SIZE = 64;
/** Blocks under one second-level scale (bitsandbytes): what one group holds, 16,384 weights. */
const GROUP_BLOCKS = 256;
const GROUP_BYTES = (GROUP_BLOCKS * BLOCK_SIZE) / 2;
/** 4 million weights; a matrix of 4096 columns then has a thousand different rows. */
const GROUPS = 256;

/** Doubly quantized normal numbers, to draw weights from. */
export class RandomBlocks {
  readonly #packed: Uint8Array;
  readonly #nested: NonNullable<ReturnType<typeof quantizeNf4>["nested"]>;
  readonly #seed: number;

  /** @param normals normal numbers of the deviation wanted, drawn from as often as needed */
  constructor(normals: Float32Array, seed: number) {
    const values = new Float32Array(GROUPS * GROUP_BLOCKS * BLOCK_SIZE);
    const words = new Uint32Array(4);
    for (let i = 0; i < values.length; i++) {
      if (i % words.length === 0) philox(i / words.length, 0, 0, 0, seed, nameKey("random-blocks"), words);
      values[i] = normals[(words[i % words.length] as number) % normals.length] as number;
    }
    const { packed, nested } = quantizeNf4(values, { blockSize: BLOCK_SIZE, doubleQuant: true });
    if (nested === undefined) throw new InternalError("double quantization gave no scales of scales");
    this.#packed = packed;
    this.#nested = nested;
    this.#seed = seed;
  }

  /** Which groups a weight is made of. */
  #groups(name: string, count: number): Uint16Array {
    const groups = new Uint16Array(count);
    const words = new Uint32Array(4);
    for (let i = 0; i < count; i++) {
      if (i % words.length === 0) philox(i / words.length, 0, 0, 0, this.#seed, nameKey(name), words);
      groups[i] = (words[i % words.length] as number) % GROUPS;
    }
    return groups;
  }

  /** The tensors of a linear layer in bitsandbytes' layout. */
  tensors({ name, shape }: ParameterSpec): TensorToWrite[] {
    const count = shape.reduce((product, size) => product * size, 1);
    const blocks = Math.ceil(count / BLOCK_SIZE);
    const groups = this.#groups(name, Math.ceil(blocks / GROUP_BLOCKS));
    const { absmax, nestedAbsmax, quantMap, offset, blockSize } = this.#nested;
    const nested = { quantMap, offset, blockSize, nestedAbsmax: Float32Array.from(groups, (group) => nestedAbsmax[group] as number) };
    const laidOut = (table: Uint8Array, unit: number, length: number): Uint8Array => {
      const out = new Uint8Array(length);
      for (const [i, group] of groups.entries())
        out.set(table.subarray(group * unit, group * unit + Math.min(unit, length - i * unit)), i * unit);
      return out;
    };
    return bnb4bitTensors({ name, shape, blockSize: BLOCK_SIZE, dtype: "bfloat16", nested }, () =>
      Promise.resolve({
        packed: laidOut(this.#packed, GROUP_BYTES, Math.ceil(count / 2)),
        absmax: new Float32Array(0), // of weights without double quantization
        nested: { absmax: laidOut(absmax, GROUP_BLOCKS, blocks) },
      }),
    );
  }
}

/** `quantization_config` of a folder that holds such weights. */
export const QUANTIZATION_CONFIG = {
  bnb_4bit_compute_dtype: "bfloat16",
  bnb_4bit_quant_storage: "uint8",
  bnb_4bit_quant_type: "nf4",
  bnb_4bit_use_double_quant: true,
  load_in_4bit: true,
  load_in_8bit: false,
  quant_method: "bitsandbytes",
} as const;
