import { formatBytes, formatCount, formatSeconds } from "../../core/index.ts";
import type { GgufResult } from "../../export/index.ts";
import type { View } from "../command.ts";
import { escapeText, renderFacts } from "../terminal/index.ts";

const TOKENIZERS: Readonly<Record<NonNullable<GgufResult["tokenizerModel"]>, (pre: string) => string>> = {
  gpt2: (pre) => `byte-level BPE, split as ${pre}`,
  llama: () => "SentencePiece, scores from the merges",
};

/** What a GGUF file holds. */
export function ggufView(result: GgufResult, { paint }: View): string {
  const { output, source, kind, architecture, tensors, bytes, types, tokenizerModel, preTokenizer, notes, seconds } = result;
  const byType = Object.entries(types).map(([type, count]) => `${formatCount(count)} × ${type}`);
  const facts: [string, string][] = [
    [kind === "lora" ? "adapter" : "model", `${output}, ${formatBytes(bytes)}`],
    ["from", source],
    ["tensors", `${formatCount(tensors)} of ${architecture}: ${byType.join(", ")}`],
    ...(tokenizerModel === null ? [] : [["tokenizer", TOKENIZERS[tokenizerModel](preTokenizer ?? "")] as [string, string]]),
    ["time", formatSeconds(seconds)],
  ];
  return [renderFacts(facts, paint), ...notes.map((note) => `${paint.yellow("note")} ${escapeText(note)}`)].join("\n\n");
}
