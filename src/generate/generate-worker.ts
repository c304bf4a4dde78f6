import { HeirloomError } from "../core/index.ts";
import { defineJob } from "../core/node/index.ts";
import { compileChatTemplate, type Tokenizer } from "../data/index.ts";
import type { Completion, GenerationRequest, GenerationResult } from "./api.ts";
import { completeGreedily, endTokens, promptIds } from "./greedy.ts";
import { loadModel } from "./load-model.ts";

function chatIds(tokenizer: Tokenizer, prompt: string): number[] {
  if (tokenizer.chatTemplate === null) {
    throw new HeirloomError("CHAT_TEMPLATE_INVALID", "the tokenizer has no chat template", {
      where: tokenizer.name,
      hint: "leave out --chat to complete the prompt as it is",
    });
  }
  const template = compileChatTemplate(tokenizer.chatTemplate, { name: tokenizer.name, namedTokens: tokenizer.namedTokens });
  const { text } = template.render([{ role: "user", content: prompt }], { addGenerationPrompt: true });
  return tokenizer.encode(text, { addSpecialTokens: false });
}

/** Completes the request's prompts one after the other. */
export const generateJob = defineJob<GenerationRequest, never, GenerationResult>(import.meta.url, async (request, { stopRequested }) => {
  const { model, tokenizer, notes } = await loadModel(request.path, request.base);
  try {
    const endIds = endTokens(model, tokenizer);
    const began = performance.now();
    const completions: Completion[] = [];
    for (const prompt of request.prompts) {
      const ids = request.chat ? chatIds(tokenizer, prompt) : promptIds(tokenizer, prompt);
      const outcome = await completeGreedily(model, ids, { maxTokens: request.maxTokens, endIds, stopRequested });
      completions.push({ prompt, text: tokenizer.decode(outcome.ids), tokens: outcome.ids.length, stop: outcome.stop });
    }
    const made = completions.reduce((sum, { tokens }) => sum + tokens, 0);
    return { path: request.path, completions, tokensPerSecond: (1000 * made) / (performance.now() - began), notes };
  } finally {
    await model.dispose();
  }
});
