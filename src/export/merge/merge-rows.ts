import { decodeToF32 } from "../../codecs/index.ts";
import { requireTensor, type TensorFile } from "../../formats/index.ts";
import { chunksOf, type RowSource } from "../tensor-rows.ts";
import type { LoraRecipe, TensorRecipe } from "./plan.ts";

/** Columns whose sums stay in the first-level cache together with the rows of A that make them (8 bytes each, 32 KiB). */
const COLUMN_BLOCK = 2048;

/** A tensor of the adapter, widened. */
export async function adapterValues(file: TensorFile, key: string): Promise<Float32Array> {
  const { dtype } = requireTensor(file, key);
  return decodeToF32(dtype, await file.read(key), `${file.name} ${key}`);
}

/** [rows, columns] → [columns, rows]. */
function transposed(values: Float32Array, rows: number, columns: number): Float32Array {
  const out = new Float32Array(values.length);
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) out[c * rows + r] = values[r * columns + c] as number;
  return out;
}

/** A pair of matrices as factors of the change of a weight [rows, columns]: left [rows, rank], right [rank, columns]. */
interface Factors {
  readonly left: Float32Array;
  readonly right: Float32Array;
  readonly rank: number;
  readonly scaling: number;
  readonly magnitude: Float32Array | null;
}

async function readFactors(file: TensorFile, recipe: LoraRecipe): Promise<Factors> {
  const [a, b] = [await adapterValues(file, recipe.a), await adapterValues(file, recipe.b)];
  const [rank = 0, inputs = 0] = requireTensor(file, recipe.a).shape;
  const [outputs = 0] = requireTensor(file, recipe.b).shape;
  const magnitude = recipe.magnitude === null ? null : await adapterValues(file, recipe.magnitude);
  const shared = { rank, scaling: recipe.scaling, magnitude };
  // An embedding's change is (B·A)ᵀ = Aᵀ·Bᵀ.
  return recipe.isEmbedding
    ? { left: transposed(a, rank, inputs), right: transposed(b, outputs, rank), ...shared }
    : { left: b, right: a, ...shared };
}

/** `sums += Σ left[row, k] · right[k, from…]`, in fp64; two terms at a time, which halves the loads and stores of the sums. */
function addProduct(sums: Float64Array, { left, right, rank }: Factors, row: number, columns: number, from: number, count: number): void {
  let k = 0;
  for (; k + 1 < rank; k += 2) {
    const [x, y] = [left[row * rank + k] as number, left[row * rank + k + 1] as number];
    const [p, q] = [k * columns + from, (k + 1) * columns + from];
    for (let i = 0; i < count; i++) sums[i] = (sums[i] as number) + x * (right[p + i] as number) + y * (right[q + i] as number);
  }
  if (k === rank) return;
  const [x, p] = [left[row * rank + k] as number, k * columns + from];
  for (let i = 0; i < count; i++) sums[i] = (sums[i] as number) + x * (right[p + i] as number);
}

/** Scales a row to DoRA's length: m · w / ‖w‖. */
function setLength(values: Float32Array, start: number, count: number, length: number): void {
  let square = 0;
  for (let i = start; i < start + count; i++) square += (values[i] as number) ** 2;
  const factor = length / Math.sqrt(square);
  for (let i = start; i < start + count; i++) values[i] = (values[i] as number) * factor;
}

/** W + scaling·left·right for some rows, in place; summed in fp64 and rounded to fp32 once. */
function addLora(values: Float32Array, firstRow: number, columns: number, factors: Factors, sums: Float64Array): void {
  const rows = values.length / columns;
  for (let r = 0; r < rows; r++) {
    for (let from = 0; from < columns; from += COLUMN_BLOCK) {
      const count = Math.min(COLUMN_BLOCK, columns - from);
      sums.fill(0, 0, count);
      addProduct(sums, factors, firstRow + r, columns, from, count);
      const at = r * columns + from;
      for (let i = 0; i < count; i++) values[at + i] = (values[at + i] as number) + factors.scaling * (sums[i] as number);
    }
    if (factors.magnitude !== null) setLength(values, r * columns, columns, factors.magnitude[firstRow + r] as number);
  }
}

/** Some rows of a merged tensor, and what they were before the adapter. */
export interface MergedChunk {
  readonly start: number;
  readonly before: Float32Array;
  readonly merged: Float32Array;
}

/** Makes merged rows of rows of the base: `before` are those from `start` on, and stay as they are. */
export type RowMerger = (start: number, before: Float32Array) => Float32Array;

/**
 * Reads what the adapter has for a tensor. Rows are merged one by one, so that it makes no difference how many come at a time:
 * `W + scaling·B·A`, rows of DoRA set to their lengths, trained rows and biases put in place.
 */
export async function rowMerger(recipe: TensorRecipe, adapter: TensorFile, columns: number): Promise<RowMerger> {
  const factors = recipe.lora === null ? null : await readFactors(adapter, recipe.lora);
  const rows = recipe.rows === null ? null : await adapterValues(adapter, recipe.rows.key);
  const bias = recipe.loraBias === null ? null : await adapterValues(adapter, recipe.loraBias.key);
  if (factors === null && rows === null && bias === null) return (_start, before) => before;
  const sums = new Float64Array(factors === null ? 0 : COLUMN_BLOCK);
  return (start, before) => {
    const merged = before.slice();
    if (factors !== null) addLora(merged, start, columns, factors, sums);
    if (bias !== null && recipe.loraBias !== null) {
      const { scaling } = recipe.loraBias;
      for (let i = 0; i < merged.length; i++) merged[i] = (merged[i] as number) + scaling * (bias[start * columns + i] as number);
    }
    for (const [i, index] of (recipe.rows?.indices ?? []).entries()) {
      const at = (index - start) * columns;
      if (rows !== null && at >= 0 && at < merged.length) merged.set(rows.subarray(i * columns, (i + 1) * columns), at);
    }
    return merged;
  };
}

/**
 * The merged values of one tensor, some rows at a time.
 *
 * @param base values of the base's tensor or of the copy that stands in its place
 */
export async function* mergedChunks(
  base: RowSource,
  recipe: TensorRecipe,
  adapter: TensorFile,
): AsyncGenerator<MergedChunk, void, undefined> {
  const merge = await rowMerger(recipe, adapter, base.columns);
  for await (const { start, values: before } of chunksOf(base)) yield { start, before, merged: merge(start, before) };
}
