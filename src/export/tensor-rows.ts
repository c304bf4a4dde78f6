import { decodeToF32, dequantizeNf4Blocks, type Nf4Tensor, quantizeNf4 } from "../codecs/index.ts";
import { HeirloomError, InternalError } from "../core/index.ts";
import { isBnb4bit, readBnb4bit, requireTensor, type TensorFile } from "../formats/index.ts";

/** The fp32 values of a matrix (or of a vector, as one row), a few rows at a time. */
export interface RowSource {
  readonly rowCount: number;
  readonly columns: number;
  /** Rows `start` to `end` (exclusive), row-major, in memory of the caller's. */
  rows(start: number, end: number): Promise<Float32Array>;
}

/**
 * Bytes of fp32 that a chunk of rows takes: an embedding of 128,256 × 4,096 is 2 GiB, of which a
 * few chunks (the values, the original beside them, what is encoded) are held at a time.
 */
const CHUNK_BYTES = 32 << 20;

/** Rows of a matrix that are worked on at a time; at least one. */
function rowsPerChunk(columns: number): number {
  return Math.max(1, Math.floor(CHUNK_BYTES / (4 * columns)));
}

/** A shape as rows and columns; a vector is one row. */
function asMatrix(shape: readonly number[]): { readonly rowCount: number; readonly columns: number } {
  const columns = shape.at(-1) ?? 1;
  return { rowCount: shape.slice(0, -1).reduce((product, size) => product * size, 1), columns };
}

/** Refuses a tensor whose shape is not that of the configuration. @throws TENSOR_MISSING, TENSOR_SHAPE */
function requireShape(file: TensorFile, name: string, found: readonly number[], expected: readonly number[]): void {
  if (found.length === expected.length && found.every((size, i) => size === expected[i])) return;
  throw new HeirloomError("TENSOR_SHAPE", `expected shape [${expected.join(", ")}] from the configuration, found [${found.join(", ")}]`, {
    where: `${file.name} ${name}`,
    details: { tensor: name, expected, found },
  });
}

/** A tensor of floats as it lies in its file. @throws TENSOR_MISSING, TENSOR_SHAPE, TENSOR_DTYPE */
export function denseRows(file: TensorFile, name: string, shape: readonly number[]): RowSource {
  const entry = requireTensor(file, name);
  requireShape(file, name, entry.shape, shape);
  const { rowCount, columns } = asMatrix(shape);
  const rowBytes = (entry.end - entry.start) / Math.max(1, rowCount);
  return {
    rowCount,
    columns,
    async rows(start, end) {
      const bytes = await file.readRange(name, start * rowBytes, end * rowBytes);
      return decodeToF32(entry.dtype, bytes, `${file.name} ${name}`);
    },
  };
}

/** An NF4 weight in memory, dequantized as it is asked for. */
export function nf4Rows(tensor: Nf4Tensor): RowSource {
  const { rowCount, columns } = asMatrix(tensor.shape);
  const { blockSize } = tensor;
  return {
    rowCount,
    columns,
    rows(start, end) {
      const [from, to] = [start * columns, end * columns];
      const first = Math.floor(from / blockSize);
      const blocks = Math.ceil(to / blockSize) - first;
      const values = new Float32Array(blocks * blockSize);
      dequantizeNf4Blocks(tensor, first, blocks, values);
      return Promise.resolve(values.subarray(from - first * blockSize, to - first * blockSize));
    },
  };
}

/** All values of a source. */
export function allRows(source: RowSource): Promise<Float32Array> {
  return source.rows(0, source.rowCount);
}

/** How linear layers were held during training: NF4 made on load, or as the files have them. */
export type HeldAs = { readonly doubleQuant: boolean } | null;

/** The NF4 form of a weight: as stored, or as quantizing on load makes it; null if it is dense. */
export async function nf4Of(
  file: TensorFile,
  { name, shape, linear }: { readonly name: string; readonly shape: readonly number[]; readonly linear: boolean },
  held: HeldAs,
): Promise<Nf4Tensor | null> {
  if (isBnb4bit(file, name)) {
    const tensor = await readBnb4bit(file, name);
    requireShape(file, name, tensor.shape, shape);
    return tensor;
  }
  if (held === null || !linear) return null;
  const values = await allRows(denseRows(file, name, shape));
  return quantizeNf4(values, { shape, blockSize: 64, doubleQuant: held.doubleQuant });
}

/** Walks over a source in chunks of rows. */
export async function* chunksOf(
  source: RowSource,
): AsyncGenerator<{ readonly start: number; readonly values: Float32Array }, void, undefined> {
  const step = rowsPerChunk(source.columns);
  for (let start = 0; start < source.rowCount; start += step) {
    const end = Math.min(source.rowCount, start + step);
    const values = await source.rows(start, end);
    if (values.length !== (end - start) * source.columns)
      throw new InternalError(`a chunk of ${end - start} rows has ${values.length} values`);
    yield { start, values };
  }
}
