import type { RecipeResult } from "../../audit/recipe/index.ts";
import { formatCount } from "../../core/index.ts";
import type { View } from "../command.ts";
import { escapeText, renderFacts } from "../terminal/index.ts";

/** What recipe prints: the text itself, to be piped into a file; with a folder, what was written there. */
export function recipeView(result: RecipeResult, { paint, limit }: View, output: string | null): string {
  const { files, notes, run, trained, start } = result;
  if (output === null) {
    // Notes go along as comments, which both Python and YAML take.
    const comments = notes.map((note) => `# note: ${escapeText(note)}`);
    const texts = files.map(({ name, text }) => (files.length === 1 ? text : `# ---- ${name} ----\n${text}`));
    return [...comments, ...texts].join("\n").trimEnd();
  }
  const facts = renderFacts(
    [
      ["written", files.map(({ name }) => `${output}/${name}`).join(", ")],
      ["goes on", start === "checkpoint" ? "from the checkpoint: weights, optimizer and schedule" : "from the weights"],
      ["trained", `${formatCount(trained.tensors)} tensors, ${formatCount(trained.parameters)} parameters`],
      ...(run === null ? [] : [["run it", run] as [string, string]]),
    ],
    paint,
    limit,
  );
  return [facts, ...notes.map((note) => `${paint.yellow("note")} ${escapeText(note)}`)].join("\n");
}
