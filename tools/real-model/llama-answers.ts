// What llama.cpp answers to prompts in a chat template, from a GGUF file.
import { InternalError } from "../../src/core/index.ts";
import { compileChatTemplate, type Tokenizer } from "../../src/data/index.ts";
import { completeInLlamaCpp } from "../export/llama-cpp.ts";
import { withLlamaCpp } from "./llama-cpp.ts";

/** Greedy answers of at most `count` tokens; the prompts are put into the tokenizer's own template. */
export async function llamaAnswers(gguf: string, tokenizer: Tokenizer, prompts: readonly string[], count: number): Promise<string[]> {
  if (tokenizer.chatTemplate === null) throw new InternalError("the model has no chat template");
  const template = compileChatTemplate(tokenizer.chatTemplate, { name: tokenizer.name, namedTokens: tokenizer.namedTokens });
  return withLlamaCpp(gguf, async (model) => {
    const answers: string[] = [];
    for (const content of prompts) {
      const { text } = template.render([{ role: "user", content }], { addGenerationPrompt: true });
      const ids = tokenizer.encode(text, { addSpecialTokens: false });
      answers.push(tokenizer.decode(await completeInLlamaCpp(model, ids, count)));
    }
    return answers;
  });
}
