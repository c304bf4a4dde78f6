import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { createTokenizer } from "../../data/index.ts";
import { tokenizerMetadata } from "./fixtures/tiny-gguf.ts";
import { tokenizerFolder } from "./tokenizer/tokenizer-files.ts";

interface Expected {
  readonly cases: readonly { readonly text: string; readonly ids: readonly number[]; readonly idsWithSpecial: readonly number[] }[];
}

const expectedOf = (name: string): Expected =>
  JSON.parse(readFileSync(new URL(`../../../vectors/tokenizers/${name}.expected.json`, import.meta.url), "utf8")) as Expected;

describe("a tokenizer out of GGUF metadata", () => {
  it.each([
    ["gpt2", "gpt2", "gpt-2"],
    ["smollm", "gpt2", "smollm"],
    ["llama3", "gpt2", "llama-bpe"],
    ["qwen2", "gpt2", "qwen2"],
    ["llama2-prepend", "llama", "default"],
  ] as const)("gives the ids of the original tokenizer.json of %s (%s, pre-tokenizer %s)", (name, kind, pre) => {
    const folder = tokenizerFolder(tokenizerMetadata(name, kind, pre), 128, name);
    const tokenizer = createTokenizer({ tokenizer: folder.tokenizer, config: folder.config }, name);
    const different = expectedOf(name).cases.filter(
      ({ text, ids, idsWithSpecial }) =>
        tokenizer.encode(text, { addSpecialTokens: false }).join() !== ids.join() ||
        tokenizer.encode(text).join() !== idsWithSpecial.join(),
    );
    expect(different).toEqual([]);
  });

  it("splits as tekken does", () => {
    const folder = tokenizerFolder(tokenizerMetadata("tekken", "gpt2", "tekken"), 128, "tekken");
    const tokenizer = createTokenizer({ tokenizer: folder.tokenizer, config: folder.config }, "tekken");
    for (const { text, ids } of expectedOf("tekken").cases)
      expect([text, tokenizer.encode(text, { addSpecialTokens: false })]).toEqual([text, ids]);
  });
});
