import { InternalError } from "../../core/index.ts";
import { type Dtype, elementCount, showShape, type TensorType } from "../graph/index.ts";

/** Memory of a tensor: Float32Array, Int32Array, BigInt64Array for int64, Uint8Array for uint8 and bool. */
export type TensorData = Float32Array | Int32Array | BigInt64Array | Uint8Array;

const ARRAY_OF: Readonly<Record<Dtype, { new (length: number): TensorData }>> = {
  float32: Float32Array,
  int32: Int32Array,
  int64: BigInt64Array,
  bool: Uint8Array,
  uint8: Uint8Array,
};

/** A zeroed array that can hold a tensor of this type. */
export function allocateTensor(type: TensorType): TensorData {
  return new ARRAY_OF[type.dtype](elementCount(type.shape));
}

/** Throws unless `data` is memory for a tensor of type `expected`; `what` names it. */
export function checkTensorData(data: TensorData | undefined, expected: TensorType, what: string): asserts data is TensorData {
  if (data === undefined) throw new InternalError("nothing was given", { where: what });
  const ArrayType = ARRAY_OF[expected.dtype];
  if (!(data instanceof ArrayType)) {
    throw new InternalError(`expected a ${ArrayType.name} for ${describe(expected)}, found a ${(data as object).constructor.name}`, {
      where: what,
    });
  }
  const count = elementCount(expected.shape);
  if (data.length !== count) {
    const found = data.buffer.byteLength === 0 && data.byteLength === 0 ? "none (was the buffer transferred?)" : String(data.length);
    throw new InternalError(`expected ${count} elements for ${describe(expected)}, found ${found}`, { where: what });
  }
  // Node 20's binding answers "Invalid argument" without saying which (Node 24 takes them).
  if (data.buffer instanceof SharedArrayBuffer) throw new InternalError("the runtime cannot use a SharedArrayBuffer", { where: what });
}

function describe({ dtype, shape }: TensorType): string {
  return `${dtype} ${showShape(shape)}`;
}
