import { encodeFromF32 } from "../../codecs/index.ts";
import { InternalError } from "../../core/index.ts";
import { requireTensor, type StoredTensor, type TensorFile } from "../../formats/index.ts";
import type { RowSource } from "../tensor-rows.ts";
import type { TensorRecipe } from "./plan.ts";
import { type MergeSources, mergedRows } from "./write-merged.ts";

/** Bytes of an fp32. */
const VALUE_BYTES = 4;

/**
 * A merged model as a file of fp32 tensors that lies nowhere: rows are merged as they are read. What would otherwise be written
 * to disk only to be read back (28 GB of a model of 7B) never is.
 *
 * What a tensor is made from is kept until another one is read, so that walking through a tensor prepares it once.
 */
export function mergedTensorFile(name: string, sources: MergeSources, recipes: readonly TensorRecipe[]): TensorFile {
  const byName = new Map(recipes.map((recipe) => [recipe.parameter.name, recipe]));
  let last: { readonly name: string; readonly rows: Promise<RowSource> } | null = null;
  const rowsOf = (tensor: string): Promise<RowSource> => {
    if (last?.name === tensor) return last.rows;
    const recipe = byName.get(tensor);
    if (recipe === undefined) throw new InternalError(`no recipe for ${tensor}`);
    last = { name: tensor, rows: mergedRows(recipe, sources) };
    return last.rows;
  };
  const readRange = async (tensor: string, start: number, end: number): Promise<Uint8Array> => {
    requireTensor(file, tensor);
    const source = await rowsOf(tensor);
    const rowBytes = source.columns * VALUE_BYTES;
    const first = Math.floor(start / rowBytes);
    const bytes = encodeFromF32("F32", await source.rows(first, Math.ceil(end / rowBytes)));
    return bytes.subarray(start - first * rowBytes, end - first * rowBytes);
  };
  const entries = recipes.map(({ parameter: { name: tensor, shape } }): [string, StoredTensor] => {
    const size = shape.reduce((product, n) => product * n, VALUE_BYTES);
    const source = { name: `${name} ${tensor}`, size, read: (start: number, end: number) => readRange(tensor, start, end) };
    return [tensor, { name: tensor, dtype: "F32", shape, start: 0, end: size, source }];
  });
  const file: TensorFile = {
    name,
    tensors: new Map(entries),
    metadata: { format: "pt" },
    read: (tensor) => readRange(tensor, 0, requireTensor(file, tensor).end),
    readRange,
  };
  return file;
}
