import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { RecipeResult, RecipeTool } from "../../audit/recipe/index.ts";
import { HeirloomError, ProblemList } from "../../core/index.ts";
import { defineCommand } from "../command.ts";
import { textFlag } from "../config-flags.ts";
import { pathFrom } from "../paths.ts";

interface Flags {
  readonly for?: RecipeTool;
  readonly base?: string;
  readonly guard?: boolean;
  readonly output?: string;
}

// audit's own list, which loading here would slow every command's start.
const TOOLS = ["unsloth", "peft", "trl", "axolotl", "llama-factory"] as const satisfies readonly RecipeTool[];

/** Writes all files or none: what is there may have been edited since, as its comments invite. @throws OUTPUT_EXISTS */
async function writeFiles(folder: string, files: RecipeResult["files"]): Promise<void> {
  const problems = new ProblemList();
  for (const { name, text } of files) {
    const path = join(folder, name);
    const found = await readFile(path, "utf8").catch(() => null);
    if (found === null || found === text) continue;
    problems.add("OUTPUT_EXISTS", "expected no such file or an unchanged one, found another content", {
      where: path,
      hint: "name another folder with -o, or remove the file",
    });
  }
  problems.throwIfAny();
  await mkdir(folder, { recursive: true });
  const { writeTextAtomic } = await import("../../core/node/index.ts");
  for (const { name, text } of files) await writeTextAtomic(join(folder, name), text);
}

export const recipe = defineCommand<Flags, [adapter: string], RecipeResult>({
  brief: "What another tool needs to go on with exactly this adapter",
  description:
    "Writes what Unsloth, PEFT, TRL, Axolotl or LlamaFactory needs to go on with exactly this adapter: every selection and learning-rate group, the checkpoint where there is one, and a guard that stops before the first step if other tensors would be trained. What a tool cannot express is refused by name.",
  examples: [
    { line: "recipe runs/a/adapter --for trl", what: "a script on stdout" },
    { line: "recipe out/checkpoint-500 --for axolotl -o recipe", what: "its files in a folder" },
    { line: "recipe runs/a/adapter --guard", what: "the guard alone, for any training script" },
  ],
  flags: {
    for: { kind: "enum", values: TOOLS, optional: true, brief: "Tool to write for" },
    base: textFlag("Name or folder of the base model, if not the one that the adapter names", "base"),
    guard: { kind: "boolean", optional: true, withNegated: false, brief: "Only the guard" },
    output: textFlag("Folder to write the files into; default: print them", "path"),
  },
  aliases: { o: "output" },
  positional: {
    kind: "tuple",
    parameters: [{ brief: "Folder of an adapter, a checkpoint or a run", placeholder: "adapter", parse: (text: string) => text }],
  },
  async run({ for: tool, base, guard = false, output }, [adapter], { folder }) {
    if (!guard && tool === undefined) {
      throw new HeirloomError("USAGE", "expected --for or --guard, found neither", { hint: `--for ${TOOLS.join("|")}` });
    }
    const { writeRecipe } = await import("../../audit/recipe/index.ts");
    const result = await writeRecipe({
      adapter: pathFrom(folder, adapter),
      tool: guard ? null : (tool ?? null),
      ...(base === undefined ? {} : { base }),
    });
    if (output !== undefined) {
      await writeFiles(pathFrom(folder, output), result.files);
    }
    return result;
  },
  async render(result, view, { output }) {
    const { recipeView } = await import("../views/recipe.ts");
    return recipeView(result, view, output ?? null);
  },
});
