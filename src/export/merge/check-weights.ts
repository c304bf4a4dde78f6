import { decodeToF32 } from "../../codecs/index.ts";
import { HeirloomError } from "../../core/index.ts";
import type { JobContext } from "../../core/node/index.ts";
import { requireTensor, type TensorFile } from "../../formats/index.ts";
import { throwIfStopped } from "../output.ts";
import type { ExportEvent, MergeDtype, WeightCheck } from "./api.ts";
import { adapterValues } from "./merge-rows.ts";
import type { LoraRecipe, TensorRecipe } from "./plan.ts";
import { type Merge, sourcesOf } from "./prepared.ts";
import { ontoWhat } from "./write-merged.ts";

/*
 * Where the engine does not run an adapter, its logits are unknown. What can still be held against something else is each weight: here
 * the formula is evaluated a second time, value by value in fp64 and from the matrices as PEFT stores them, and compared with what was
 * written. It finds a merge that computes wrongly; it does not show that the formula is what the adapter computes.
 */

/** Rows of a tensor that are evaluated again, besides all trained ones: an embedding has 128,256, and errors of a merge are not in one row. */
const ROWS = 32;

/** Largest relative error of rounding to the dtype, and half its smallest number above 0. */
const ROUNDING: Readonly<Record<MergeDtype, { readonly unit: number; readonly tiny: number }>> = {
  fp32: { unit: 2 ** -24, tiny: 2 ** -150 },
  fp16: { unit: 2 ** -11, tiny: 2 ** -25 },
  bf16: { unit: 2 ** -8, tiny: 2 ** -134 },
};
/** A merged value is rounded to fp32 once, with DoRA twice, and its row's length is off by as much as its values were. */
const FP32_ROUNDINGS = 4 * 2 ** -24;
/** Of one operation in fp64. */
const FP64_UNIT = 2 ** -53;

/** A row as it should be, and per value how much the order of a sum in fp64 may make of it. */
interface Expected {
  readonly values: Float64Array;
  readonly slack: Float64Array;
}

/** The matrices of a pair as they are stored. */
interface StoredPair {
  readonly a: Float32Array;
  readonly b: Float32Array;
  readonly rank: number;
  readonly magnitude: Float32Array | null;
}

async function readPair(file: TensorFile, { a, b, magnitude }: LoraRecipe): Promise<StoredPair> {
  return {
    a: await adapterValues(file, a),
    b: await adapterValues(file, b),
    rank: requireTensor(file, a).shape[0] ?? 0,
    magnitude: magnitude === null ? null : await adapterValues(file, magnitude),
  };
}

/** Adds scaling · Σ B·A to one row: B [rows, rank], A [rank, columns]; of an embedding A [rank, rows], B [columns, rank]. */
function addPair({ values, slack }: Expected, row: number, rowCount: number, pair: StoredPair, { scaling, isEmbedding }: LoraRecipe): void {
  const { a, b, rank, magnitude } = pair;
  const columns = values.length;
  for (let c = 0; c < columns; c++) {
    let [sum, size] = [0, 0];
    for (let k = 0; k < rank; k++) {
      const term = isEmbedding
        ? (a[k * rowCount + row] as number) * (b[c * rank + k] as number)
        : (b[row * rank + k] as number) * (a[k * columns + c] as number);
      sum += term;
      size += Math.abs(term);
    }
    values[c] = (values[c] as number) + scaling * sum;
    slack[c] = 2 * (rank + 1) * FP64_UNIT * Math.abs(scaling) * size;
  }
  if (magnitude === null) return;
  const length = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
  const factor = (magnitude[row] as number) / length;
  for (let c = 0; c < columns; c++) {
    values[c] = (values[c] as number) * factor;
    slack[c] = (slack[c] as number) * Math.abs(factor);
  }
}

/** Evaluates rows of one tensor. */
type RowFormula = (row: number, before: Float32Array) => Expected;

async function formulaOf({ lora, rows, loraBias }: TensorRecipe, file: TensorFile, rowCount: number): Promise<RowFormula> {
  const pair = lora === null ? null : await readPair(file, lora);
  const trained = rows === null ? null : await adapterValues(file, rows.key);
  const bias = loraBias === null ? null : await adapterValues(file, loraBias.key);
  return (row, before) => {
    const expected: Expected = { values: Float64Array.from(before), slack: new Float64Array(before.length) };
    if (pair !== null && lora !== null) addPair(expected, row, rowCount, pair, lora);
    if (bias !== null && loraBias !== null)
      before.forEach((value, i) => {
        expected.values[i] = value + loraBias.scaling * (bias[i] as number);
      });
    // Of an index that is named twice, the last row stays.
    const at = rows?.indices.lastIndexOf(row) ?? -1;
    if (at >= 0 && trained !== null) expected.values.set(trained.subarray(at * before.length, (at + 1) * before.length));
    return expected;
  };
}

/** Rows spread over the tensor, the first and the last among them, and those that the adapter replaces. */
function rowsToCheck({ rows }: TensorRecipe, rowCount: number): number[] {
  const count = Math.min(ROWS, rowCount);
  const spread = Array.from({ length: count }, (_, i) => (count === 1 ? 0 : Math.round((i * (rowCount - 1)) / (count - 1))));
  return [...new Set([...spread, ...(rows?.indices ?? [])])];
}

function mismatch(merge: Merge, name: string, found: { row: number; column: number; expected: number; found: number }): HeirloomError {
  return new HeirloomError(
    "MERGE_MISMATCH",
    `expected ${found.expected} in row ${found.row}, column ${found.column} of ${name} (what ${merge.dtype} makes of it), found ${found.found}`,
    {
      where: merge.request.output,
      hint: "nothing was written; please report it with the adapter's configuration",
      details: { tensor: name, ...found },
    },
  );
}

/** Compares one row; returns the largest difference as a share of what rounding explains. @throws MERGE_MISMATCH */
function compareRow(merge: Merge, name: string, row: number, found: Float32Array, { values, slack }: Expected): number {
  const { unit, tiny } = ROUNDING[merge.dtype];
  let largest = 0;
  for (let column = 0; column < values.length; column++) {
    const expected = values[column] as number;
    const share =
      Math.abs((found[column] as number) - expected) / ((unit + FP32_ROUNDINGS) * Math.abs(expected) + (slack[column] as number) + tiny);
    if (!(share <= 1)) throw mismatch(merge, name, { row, column, expected, found: found[column] as number });
    largest = Math.max(largest, share);
  }
  return largest;
}

/**
 * Evaluates rows of every tensor of the merged model a second time, and compares them with what was written.
 *
 * @param merged the merged model's tensors
 * @throws MERGE_MISMATCH naming the first value that rounding does not explain
 */
export async function checkWeights(merged: TensorFile, merge: Merge, context: JobContext<ExportEvent>): Promise<WeightCheck> {
  const sources = sourcesOf(merge);
  const { recipes } = merge.plan;
  let [rows, largest, done] = [0, 0, 0];
  for (const recipe of recipes) {
    const { name } = recipe.parameter;
    const { source } = await ontoWhat(recipe, sources);
    const formula = await formulaOf(recipe, sources.adapter, source.rowCount);
    const { dtype, start, end } = requireTensor(merged, name);
    const rowBytes = (end - start) / source.rowCount;
    for (const row of rowsToCheck(recipe, source.rowCount)) {
      throwIfStopped(context.stopRequested);
      const found = decodeToF32(dtype, await merged.readRange(name, row * rowBytes, (row + 1) * rowBytes));
      largest = Math.max(largest, compareRow(merge, name, row, found, formula(row, await source.rows(row, row + 1))));
      rows++;
    }
    context.emit({ type: "export", phase: "comparing weights", done: ++done, total: recipes.length });
  }
  return { kind: "weights", tensors: recipes.length, rows, largestShareOfRounding: largest };
}
