import { defineJob } from "../core/node/index.ts";
import type { Completion, GenerationRequest, GenerationResult } from "./api.ts";
import { chatIds } from "./chat.ts";
import { completeGreedily, endTokens, promptIds } from "./greedy.ts";
import { loadModel } from "./load-model.ts";

/** Completes the request's prompts one after the other. */
export const generateJob = defineJob<GenerationRequest, never, GenerationResult>(import.meta.url, async (request, { stopRequested }) => {
  const { model, tokenizer, notes } = await loadModel(request.path, request.base);
  try {
    const endIds = endTokens(model, tokenizer);
    const began = performance.now();
    const completions: Completion[] = [];
    for (const prompt of request.prompts) {
      const ids = request.chat ? await chatIds(tokenizer, [{ role: "user", content: prompt }]) : promptIds(tokenizer, prompt);
      const outcome = await completeGreedily(model, ids, { maxTokens: request.maxTokens, endIds, stopRequested });
      completions.push({ prompt, text: tokenizer.decode(outcome.ids), tokens: outcome.ids.length, stop: outcome.stop });
    }
    const made = completions.reduce((sum, { tokens }) => sum + tokens, 0);
    return { path: request.path, completions, tokensPerSecond: (1000 * made) / (performance.now() - began), notes };
  } finally {
    await model.dispose();
  }
});
