import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type ChatMessage, compileChatTemplate } from "./chat-template.ts";
import { createTokenizer } from "./tokenizer.ts";
import { trainedTokens } from "./trained-tokens.ts";

// Expected texts and masks come from transformers' apply_chat_template; see vectors/chat-templates/README.md.
interface Case {
  template: string;
  chat: string;
  addGenerationPrompt: boolean;
  error?: string;
  text?: string;
  ids?: number[];
  assistantMask?: number[];
}
const read = (path: string): unknown => JSON.parse(readFileSync(new URL(`../../vectors/${path}`, import.meta.url), "utf8"));
const { templates, chats, cases } = read("chat-templates/chats.json") as {
  templates: Record<string, string>;
  chats: Record<string, ChatMessage[]>;
  cases: Case[];
};
const namedTokens = { bos_token: "<s>", eos_token: "</s>" };
const tokenizer = createTokenizer({ tokenizer: read("tokenizers/llama3.tokenizer.json") }, "llama3");

const title = "$template with $chat, generation prompt $addGenerationPrompt";

function render(expected: Case) {
  const template = compileChatTemplate(templates[expected.template] ?? "", { namedTokens, name: expected.template });
  return template.render(chats[expected.chat] ?? [], expected);
}

describe("a chat template", () => {
  test.each(cases.filter((expected) => expected.text !== undefined))(`renders the text of transformers: ${title}`, (expected) => {
    const { text } = render(expected);
    expect(text).toBe(expected.text);
    expect(tokenizer.encode(text, { addSpecialTokens: false })).toEqual(expected.ids);
  });

  test.each(cases.filter((expected) => expected.error !== undefined))(`refuses in its own words: ${title}`, (expected) => {
    expect(() => render(expected)).toThrow(expected.error);
  });

  test.each(cases.filter((expected) => expected.assistantMask !== undefined))(
    `marks the assistant tokens of transformers: ${title}`,
    (expected) => {
      const { text, spans } = render(expected);
      expect(Array.from(trainedTokens(tokenizer, text, expected.ids ?? [], spans).mask)).toEqual(expected.assistantMask);
    },
  );
});
