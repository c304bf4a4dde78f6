import type { GenerationResult } from "../../generate/index.ts";
import type { View } from "../command.ts";
import { escapeText } from "../terminal/index.ts";

/** Each prompt with its completion. */
export function generationView({ completions, tokensPerSecond, notes }: GenerationResult, { paint }: View): string {
  const texts = completions.map(({ prompt, text, tokens, stop }) => {
    const end = stop === "length" ? `the limit of ${tokens} tokens` : `an end token after ${tokens}`;
    return `${paint.bold(escapeText(prompt))}${escapeText(text)}\n${paint.dim(`(stopped by ${end})`)}`;
  });
  return [...notes.map((note) => paint.dim(note)), ...texts, paint.dim(`${tokensPerSecond.toFixed(1)} tokens/s`)].join("\n\n");
}
