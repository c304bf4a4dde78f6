import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { createTokenizer, type Tokenizer } from "../data/index.ts";
import { chatIds } from "./chat.ts";

const TURNS = "{% for m in messages %}{{ m.content }}{% endfor %}";
const TOOLS = [{ type: "function", function: { name: "weather", parameters: {} } }];

function tokenizerOf(template: string): Tokenizer {
  const tokenizer: unknown = JSON.parse(readFileSync(new URL("../../vectors/tokenizers/llama3.tokenizer.json", import.meta.url), "utf8"));
  return createTokenizer({ tokenizer, config: { chat_template: template } }, "llama3");
}

async function rendered(template: string, tools?: readonly object[]): Promise<string> {
  const tokenizer = tokenizerOf(template);
  return tokenizer.decode(await chatIds(tokenizer, [{ role: "user", content: "Rain?" }], tools === undefined ? {} : { tools }));
}

describe("tools of a conversation", () => {
  test("reach a template that has a place for them", async () => {
    expect(await rendered(`{% for t in tools %}{{ t.function.name }} {% endfor %}${TURNS}`, TOOLS)).toBe("weather Rain?");
  });

  test("are refused by one that has none, instead of left out in silence", async () => {
    await expect(rendered(TURNS, TOOLS)).rejects.toMatchObject({
      code: "CHAT_TEMPLATE_INVALID",
      problems: [{ where: "llama3", hint: "leave the tools out, or ask a model whose template knows them" }],
    });
    expect(await rendered(TURNS)).toBe("Rain?");
    expect(await rendered(TURNS, [])).toBe("Rain?");
  });
});
