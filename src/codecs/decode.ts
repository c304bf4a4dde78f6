import { HeirloomError, InternalError } from "../core/index.ts";
import type { SafetensorsDtype } from "../formats/index.ts";
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16, floatBits } from "./float16.ts";

/** Dtypes that hold real numbers of a width that we compute with. */
export type FloatDtype = "F64" | "F32" | "F16" | "BF16";

/** Whether values of this dtype can be decoded to fp32. */
export function isFloatDtype(dtype: SafetensorsDtype): dtype is FloatDtype {
  return dtype === "F64" || dtype === "F32" || dtype === "F16" || dtype === "BF16";
}

/** Bytes at an offset that a typed array of `width` bytes can look at; copied only if need be. */
function aligned(bytes: Uint8Array, width: number): Uint8Array {
  return bytes.byteOffset % width === 0 ? bytes : new Uint8Array(bytes);
}

/**
 * Little-endian bytes of a floating-point tensor → fp32. F16 and BF16 are exact;
 * F64 is rounded to nearest. For F32 the result shares the memory of `bytes`
 * where its alignment allows it.
 *
 * @param where file and tensor, for messages
 * @throws HeirloomError `TENSOR_DTYPE` for any other dtype
 */
export function decodeToF32(dtype: SafetensorsDtype, bytes: Uint8Array, where?: string): Float32Array {
  switch (dtype) {
    case "BF16":
      return bf16ToF32(bytes);
    case "F16":
      return f16ToF32(bytes);
    case "F32": {
      const source = aligned(bytes, 4);
      return new Float32Array(source.buffer, source.byteOffset, source.byteLength / 4);
    }
    case "F64": {
      const source = aligned(bytes, 8);
      return Float32Array.from(new Float64Array(source.buffer, source.byteOffset, source.byteLength / 8));
    }
    default:
      throw new HeirloomError("TENSOR_DTYPE", `expected a dtype of F64, F32, F16 or BF16, found ${dtype}`, {
        ...(where === undefined ? {} : { where }),
        hint: "convert the model to bf16 or fp32 first",
        details: { dtype },
      });
  }
}

/**
 * fp32 → little-endian bytes of `dtype`, rounded to nearest, ties to even. For
 * F32 the bytes share the memory of `values`.
 */
export function encodeFromF32(dtype: FloatDtype, values: Float32Array): Uint8Array {
  switch (dtype) {
    case "F32":
      return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    case "BF16":
      return new Uint8Array(f32ToBf16(values).buffer);
    case "F16":
      return new Uint8Array(f32ToF16(values).buffer);
    case "F64":
      return new Uint8Array(Float64Array.from(values).buffer);
    default:
      throw new InternalError(`no encoding for ${String(dtype satisfies never)}`);
  }
}

/** Index of the first NaN or infinity, or −1. */
export function firstNotFinite(values: Float32Array): number {
  const bits = floatBits(values);
  for (let i = 0; i < bits.length; i++) {
    if (((bits[i] as number) & 0x7f800000) === 0x7f800000) return i;
  }
  return -1;
}
