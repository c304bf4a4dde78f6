import { decodeToF32, encodeFromF32 } from "../../codecs/index.ts";
import { isBnb4bit, type TensorFile, type TensorToWrite } from "../../formats/index.ts";
import { denseRows, type HeldAs, nf4Of, nf4Rows, type RowSource } from "../tensor-rows.ts";
import type { MergeDtype, MergeTarget } from "./api.ts";
import { mergedChunks, rowMerger } from "./merge-rows.ts";
import type { TensorRecipe } from "./plan.ts";
import { BaseDifference, RoundingTally, requireFinite } from "./tallies.ts";

/** The names of an output dtype in safetensors files and in config.json. */
export const DTYPE_NAMES = {
  fp32: { file: "F32", torch: "float32" },
  bf16: { file: "BF16", torch: "bfloat16" },
  fp16: { file: "F16", torch: "float16" },
} as const satisfies Record<MergeDtype, unknown>;

/** Where a merge reads from, and what it makes of it. */
export interface MergeSources {
  readonly base: TensorFile;
  /** Dense weights, where the base is stored in 4 bits; null without. */
  readonly original: TensorFile | null;
  readonly adapter: TensorFile;
  readonly held: HeldAs;
  readonly onto: MergeTarget;
  readonly dtype: MergeDtype;
}

/** The values that a tensor is merged onto, and the other ones of trained and original, if there are two. */
interface BasePair {
  readonly onto: RowSource;
  readonly trained: RowSource;
  readonly original: RowSource | null;
}

async function basePair(name: string, recipe: TensorRecipe, sources: MergeSources): Promise<BasePair> {
  const { base, original, held, onto } = sources;
  const { shape, kind } = recipe.parameter;
  const packed = await nf4Of(base, { name, shape, linear: kind === "linear" }, held);
  if (packed === null) {
    // Not quantized: what it was trained as is what it is; a norm may differ in the folder of original weights, so that is asked.
    const own = denseRows(base, name, shape);
    if (original === null) return { onto: own, trained: own, original: null };
    const other = denseRows(original, name, shape);
    return { onto: onto === "trained" ? own : other, trained: own, original: other };
  }
  const trained = nf4Rows(packed);
  const dense = original ?? (isBnb4bit(base, name) ? null : base);
  const other = dense === null ? null : denseRows(dense, name, shape);
  return { onto: onto === "original" && other !== null ? other : trained, trained, original: other };
}

/** What a tensor is merged onto: values of the base, or (then there is no pair) the adapter's copy that stands in their place. */
export async function ontoWhat(
  recipe: TensorRecipe,
  sources: MergeSources,
): Promise<{ readonly source: RowSource; readonly pair: BasePair | null }> {
  const { from, parameter } = recipe;
  if ("copy" in from) return { source: denseRows(sources.adapter, from.copy, parameter.shape), pair: null };
  const pair = await basePair(from.base, recipe, sources);
  return { source: pair.onto, pair };
}

/** One tensor of the merged model in fp32, whichever rows are asked for. Values are checked as they are made. @throws TENSOR_NOT_FINITE */
export async function mergedRows(recipe: TensorRecipe, sources: MergeSources): Promise<RowSource> {
  const { source } = await ontoWhat(recipe, sources);
  const merge = await rowMerger(recipe, sources.adapter, source.columns);
  return {
    rowCount: source.rowCount,
    columns: source.columns,
    async rows(start, end) {
      const merged = merge(start, await source.rows(start, end));
      requireFinite(merged, merged, recipe.parameter.name, "fp32");
      return merged;
    },
  };
}

/** Writes nothing itself: makes the tensors of the merged model, to be streamed, and counts as they pass. */
export class MergedTensors {
  readonly difference = new BaseDifference();
  readonly rounding = new RoundingTally();
  readonly #sources: MergeSources;
  readonly #mayGoOn: () => void;
  readonly #onTensor: () => void;

  /**
   * @param mayGoOn called before each chunk; throws to stop
   * @param onTensor called after each tensor
   */
  constructor(sources: MergeSources, mayGoOn: () => void, onTensor: () => void) {
    this.#sources = sources;
    this.#mayGoOn = mayGoOn;
    this.#onTensor = onTensor;
  }

  /** What is to be written, in the model's order. */
  plan(recipes: readonly TensorRecipe[]): TensorToWrite[] {
    const { file } = DTYPE_NAMES[this.#sources.dtype];
    return recipes.map((recipe) => ({
      name: recipe.parameter.name,
      dtype: file,
      shape: recipe.parameter.shape,
      chunks: () => this.#chunks(recipe),
    }));
  }

  async *#chunks(recipe: TensorRecipe): AsyncGenerator<Uint8Array, void, undefined> {
    const { name, module } = recipe.parameter;
    const { source, pair } = await ontoWhat(recipe, this.#sources);
    const isChanged = recipe.lora !== null || recipe.rows !== null || recipe.loraBias !== null;
    const { dtype } = this.#sources;
    const { file } = DTYPE_NAMES[dtype];
    for await (const { start, before, merged } of mergedChunks(source, recipe, this.#sources.adapter)) {
      this.#mayGoOn();
      const bytes = encodeFromF32(file, merged);
      const rounded = dtype === "fp32" ? merged : decodeToF32(file, bytes);
      requireFinite(merged, rounded, name, dtype);
      if (isChanged) this.rounding.add(before, merged, rounded);
      if (pair?.original) {
        const rows = merged.length / source.columns;
        const [trained, original] = [await pair.trained.rows(start, start + rows), await pair.original.rows(start, start + rows)];
        this.difference.add(module, trained, original, start === 0);
      }
      yield bytes;
    }
    this.#onTensor();
  }
}
