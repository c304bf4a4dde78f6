import { requireTensor, type TensorFile } from "../../formats/index.ts";

/** Bytes compared at a time. */
const CHUNK_BYTES = 16 << 20;

/** Whether two tensors of a file hold the same bytes. */
export async function sameStoredValues(file: TensorFile, a: string, b: string): Promise<boolean> {
  const [x, y] = [requireTensor(file, a), requireTensor(file, b)];
  const bytes = x.end - x.start;
  if (x.dtype !== y.dtype || bytes !== y.end - y.start) return false;
  for (let at = 0; at < bytes; at += CHUNK_BYTES) {
    const end = Math.min(bytes, at + CHUNK_BYTES);
    const [left, right] = [await file.readRange(a, at, end), await file.readRange(b, at, end)];
    if (Buffer.compare(left, right) !== 0) return false;
  }
  return true;
}
