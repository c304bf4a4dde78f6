import { InternalError } from "../../core/index.ts";

/** Transposes a matrix of elements of 2 or 4 bytes without looking into them: twice is what it was, bit for bit. */
export function transposeBytes(bytes: Uint8Array, rows: number, columns: number): Uint8Array {
  const width = bytes.byteLength / (rows * columns);
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : new Uint8Array(bytes);
  const move = <T extends Uint16Array | Uint32Array>(from: T, to: T): Uint8Array => {
    for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) to[c * rows + r] = from[r * columns + c] as number;
    return new Uint8Array(to.buffer);
  };
  const count = rows * columns;
  if (width === 4) return move(new Uint32Array(aligned.buffer, aligned.byteOffset, count), new Uint32Array(count));
  if (width === 2) return move(new Uint16Array(aligned.buffer, aligned.byteOffset, count), new Uint16Array(count));
  throw new InternalError(`a matrix of elements of ${width} bytes cannot be transposed`);
}
