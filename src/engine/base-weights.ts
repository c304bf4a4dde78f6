import { bf16ToF32, Nf4Dequantizer, type PackedNf4 } from "../codecs/index.ts";
import { HeirloomError, InternalError } from "../core/index.ts";
import { type ModelSpec, modelParameters } from "../model/index.ts";

/** A parameter in memory. `released`: what is used in its place is held elsewhere. */
export type HeldTensor =
  | { readonly kind: "dense"; readonly values: Float32Array }
  | { readonly kind: "bf16"; readonly bits: Uint16Array }
  | { readonly kind: "nf4"; readonly tensor: PackedNf4 }
  | { readonly kind: "released" };

/** Where {@link BaseWeights.values} puts values that are not held as fp32. */
export interface Scratch {
  floats(length: number): Float32Array;
  dequantizer(capacity: number): Nf4Dequantizer;
}

/** New memory for every use. */
const NEW_MEMORY: Scratch = {
  floats: (length) => new Float32Array(length),
  dequantizer: (capacity) => new Nf4Dequantizer(capacity),
};

function memoryOf(held: HeldTensor): readonly (Float32Array | Uint16Array | Uint8Array)[] {
  switch (held.kind) {
    case "dense":
      return [held.values];
    case "bf16":
      return [held.bits];
    case "nf4": {
      const { packed, absmax, nested } = held.tensor;
      return [packed, ...(absmax === undefined ? [] : [absmax]), ...(nested === undefined ? [] : [nested.absmax, nested.nestedAbsmax])];
    }
    case "released":
      return [];
    default:
      throw new InternalError(`no memory of ${String(held satisfies never)}`);
  }
}

function bytesOf(held: HeldTensor): number {
  return memoryOf(held).reduce((sum, { byteLength }) => sum + byteLength, 0);
}

/** One tensor of the base as it is held. */
export interface BaseTensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** What the graphs compute with: `NF4` for quantized ones, also while their dequantized values are held; else `F32`, also where the file's bf16 is held. */
  readonly dtype: string;
  /** Bytes in memory. */
  readonly bytes: number;
}

/** The frozen base: every parameter by name, in fp32 or as it is stored. */
export class BaseWeights {
  readonly spec: ModelSpec;
  readonly quantized: ReadonlySet<string>;
  readonly doubleQuant: boolean;
  readonly #held: Map<string, HeldTensor>;

  constructor(spec: ModelSpec, held: Map<string, HeldTensor>, facts: { quantized: ReadonlySet<string>; doubleQuant: boolean }) {
    this.spec = spec;
    this.#held = held;
    this.quantized = facts.quantized;
    this.doubleQuant = facts.doubleQuant;
  }

  #find(name: string): HeldTensor {
    const held = this.#held.get(name);
    if (held === undefined) throw new HeirloomError("TENSOR_MISSING", "the base model has no such parameter", { where: name });
    return held;
  }

  /**
   * The fp32 values of a parameter, row-major in its shape: those that are held, or computed into `scratch` from what is
   * held (then the next use of the same scratch overwrites them).
   */
  values(name: string, scratch: Scratch = NEW_MEMORY): Float32Array {
    const held = this.#find(name);
    switch (held.kind) {
      case "dense":
        return held.values;
      case "bf16":
        return bf16ToF32(held.bits, scratch.floats(held.bits.length));
      case "nf4":
        return scratch.dequantizer(held.tensor.shape.reduce((product, n) => product * n, 1)).values(held.tensor);
      default:
        throw new InternalError("the values of a base tensor that was released", { where: name });
    }
  }

  /** The fp32 values of elements `start` to `end − 1`; a view where they are held as fp32, else in `scratch`. */
  range(name: string, start: number, end: number, scratch: Pick<Scratch, "floats"> = NEW_MEMORY): Float32Array {
    const held = this.#find(name);
    if (held.kind === "dense") return held.values.subarray(start, end);
    if (held.kind === "bf16") return bf16ToF32(held.bits.subarray(start, end), scratch.floats(end - start));
    throw new InternalError(`a range of a base tensor that is held as ${held.kind}`, { where: name });
  }

  /** Whether {@link values} computes this parameter's values each time. */
  isPacked(name: string): boolean {
    return this.#find(name).kind !== "dense";
  }

  /** The bits of a parameter that is held as bf16; null for others. */
  bits(name: string): Uint16Array | null {
    const held = this.#find(name);
    return held.kind === "bf16" ? held.bits : null;
  }

  /**
   * Gives back the memory of parameters that are used no longer, because trained ones stand in for them.
   *
   * @param keys names under which trained tensors are asked for. Tied tensors go only together.
   */
  release(keys: ReadonlySet<string>): void {
    for (const { name, tiedTo } of modelParameters(this.spec)) {
      const others = modelParameters(this.spec).filter((other) => other.tiedTo === name || other.name === tiedTo);
      if (keys.has(name) && others.every((other) => keys.has(other.name))) this.#held.set(name, { kind: "released" });
    }
  }

  /** Every tensor of the base, once; a tied head is its embedding. */
  *tensors(): Iterable<BaseTensor> {
    for (const { name, shape, tiedTo } of modelParameters(this.spec)) {
      if (tiedTo !== undefined) continue;
      const held = this.#find(name);
      yield { name, shape, dtype: this.quantized.has(name) ? "NF4" : "F32", bytes: bytesOf(held) };
    }
  }

  /** The memory itself of a parameter's values (packed ones: codes and scales), for who watches that nothing writes to it. */
  memory(name: string): readonly (Float32Array | Uint16Array | Uint8Array)[] {
    return memoryOf(this.#find(name));
  }

  /** Bytes that the base holds in memory. */
  get bytes(): number {
    return [...new Set(this.#held.values())].reduce((sum, held) => sum + bytesOf(held), 0);
  }
}
