import { formatBytes, formatCount, formatSeconds } from "../../core/index.ts";
import type { ImportResult } from "../../export/import/index.ts";
import type { View } from "../command.ts";
import { renderFacts } from "../terminal/index.ts";

/** What import prints: what was made of what, and what to do with it. */
export function importView(result: ImportResult, { paint }: View): string {
  const { output, source, architecture, layers, parameters, tensorTypes, tiedEmbeddings, tokens, hasChatTemplate, dtype } = result;
  const types = Object.entries(tensorTypes)
    .sort(([, a], [, b]) => b - a)
    .map(([type, count]) => `${count} × ${type}`);
  const facts: [string, string][] = [
    ["model", output],
    ["from", `${source.file}, ${formatBytes(source.bytes)}, ${types.join(", ")}`],
    ["sha256", source.sha256],
    [
      "architecture",
      `${architecture}, ${layers} layers, ${formatCount(parameters)} parameters${tiedEmbeddings ? ", head tied to the embedding" : ""}`,
    ],
    ["weights", `${formatBytes(result.weightBytes)} as ${dtype}`],
    ["tokenizer", `${formatCount(tokens)} tokens, ${hasChatTemplate ? "with" : "without"} a chat template`],
    ["took", formatSeconds(result.seconds)],
  ];
  return `${renderFacts(facts, paint)}\n\n${paint.dim(`use it as a base: heirloom train --base ${output}, or base: ${output} in run.yaml`)}`;
}
