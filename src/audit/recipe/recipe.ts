import { stat } from "node:fs/promises";
import { guardText } from "./guard.ts";
import { refuseInexpressible } from "./refusals.ts";
import { readRecipeSource } from "./source.ts";
import { peftScript, trlScript, unslothScript } from "./trainer-script.ts";
import type { RecipeFile, RecipeResult, RecipeSource, RecipeTool } from "./types.ts";
import { axolotlFiles, llamaFactoryFiles } from "./yaml-recipes.ts";

/** What a recipe is asked for. */
export interface RecipeRequest {
  /** Folder of an adapter, a checkpoint or a run. */
  readonly adapter: string;
  /** Null: the guard alone. */
  readonly tool: RecipeTool | null;
  /** Name or folder of the base, if not the one that the adapter names. */
  readonly base?: string;
}

/** How to write and how to start each tool's recipe. */
const WRITERS: Readonly<Record<RecipeTool, { files(source: RecipeSource): RecipeFile[]; run: string }>> = {
  peft: { files: (source) => [peftScript(source)], run: "python continue_with_peft.py" },
  trl: { files: (source) => [trlScript(source)], run: "python continue_with_trl.py" },
  unsloth: { files: (source) => [unslothScript(source)], run: "python continue_with_unsloth.py" },
  axolotl: { files: axolotlFiles, run: "PYTHONPATH=. axolotl train continue.yaml" },
  "llama-factory": { files: llamaFactoryFiles, run: "python continue_with_llama_factory.py" },
};

function unknowns({ quantized, groups }: RecipeSource): string[] {
  const unrated = groups.filter(({ learningRate }) => learningRate === null).map(({ name }) => name);
  return [
    ...(quantized === null ? ["no file says whether the base was in 4 bits; the recipe takes it as it is: check that"] : []),
    ...(unrated.length > 0 ? [`no file says the learning rate of ${unrated.join(", ")}: fill it in`] : []),
  ];
}

/**
 * Writes what a tool needs to go on with exactly this adapter, with a guard that
 * stops it before the first step if anything else would be trained.
 *
 * @throws what `inspectPath` throws; ADAPTER_UNSUPPORTED, RECIPE_INCOMPLETE, RECIPE_UNSUPPORTED
 * @example
 * const { files } = await writeRecipe({ adapter: "runs/a/adapter", tool: "peft" });
 */
export async function writeRecipe({ adapter, tool, base }: RecipeRequest): Promise<RecipeResult> {
  const isLocal =
    base !== undefined &&
    (await stat(base).then(
      () => true,
      () => false,
    ));
  const source = await readRecipeSource(adapter, base, isLocal ? base : undefined);
  const trained = {
    tensors: source.tensors.length,
    parameters: source.tensors.reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0),
  };
  const start = source.resume === null ? ("weights" as const) : ("checkpoint" as const);
  if (tool === null) {
    const files = [{ name: "heirloom_guard.py", text: guardText(source.tensors) }];
    return { adapter: source.folder, tool, start, trained, files, run: null, notes: source.notes };
  }
  refuseInexpressible(source, tool);
  const { files, run } = WRITERS[tool];
  return { adapter: source.folder, tool, start, trained, files: files(source), run, notes: [...source.notes, ...unknowns(source)] };
}
