import type { CompletionPrompt, GeneratedText, GenerationResult } from "../../generate/index.ts";
import type { View } from "../command.ts";
import { escapeText } from "../terminal/index.ts";

/** What a completion came to, in words. */
function endInWords({ stop, tokens }: Pick<GeneratedText, "stop" | "tokens">): string {
  if (stop === "end") return `an end token after ${tokens}`;
  return stop === "stop" ? `a stop text after ${tokens} tokens` : `the limit of ${tokens} tokens`;
}

/** A prompt as it was typed: its text, or the last turn. */
function lastTurn(prompt: string | CompletionPrompt): string {
  if (typeof prompt === "string") return prompt;
  if ("text" in prompt) return prompt.text;
  const content: unknown = prompt.messages.at(-1)?.content;
  return `${typeof content === "string" ? content : JSON.stringify(content)}\n`;
}

/** Each prompt with its completions, by model where there are several; one alone was shown as it came. */
export function generationView(result: GenerationResult & { readonly output: string | null }, { paint }: View): string {
  const { completions, models, tokensPerSecond, notes, output } = result;
  const rate = paint.dim(`${tokensPerSecond.toFixed(1)} tokens/s`);
  const shownNotes = notes.map((note) => paint.dim(note));
  if (output !== null) return [...shownNotes, `${completions.length} completions in ${escapeText(output)}`, rate].join("\n");
  const [first] = completions;
  if (completions.length === 1 && first !== undefined)
    return ["", ...shownNotes, paint.dim(`(stopped by ${endInWords(first)})`), rate].join("\n\n").slice(1);
  const texts = completions.map(({ model, prompt, text, ...end }, i) => {
    const heading = i % models.length === 0 ? [paint.bold(escapeText(lastTurn(prompt)))] : [];
    const name = models.length > 1 ? [`\n${paint.dim(`${escapeText(model)}: `)}`] : [];
    return `${[...heading, ...name].join("")}${escapeText(text)}\n${paint.dim(`(stopped by ${endInWords(end)})`)}`;
  });
  return [...shownNotes, ...texts, rate].join("\n\n");
}
