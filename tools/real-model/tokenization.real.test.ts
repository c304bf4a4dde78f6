import { describe, expect, it } from "vitest";
import { RandomStream } from "../../src/core/index.ts";
import { loadTokenizer } from "../../src/data/index.ts";
import { realModel } from "./cache.ts";
import { llamaIds, withLlamaCpp } from "./llama-cpp.ts";
import { MIXED_TEXTS, randomText } from "./texts.ts";

const model = realModel();
const RANDOM_TEXTS = 3_000;
const SEED = 20;

/** llama.cpp hands texts over as C strings. */
const beforeNul = (text: string): string => text.split("\u0000")[0] as string;

describe.skipIf(model === null)("the imported tokenizer of the real model", () => {
  it("gives llama.cpp's ids for mixed and random text", async () => {
    if (model === null) return;
    const tokenizer = await loadTokenizer(model.folder);
    const stream = new RandomStream(SEED, "random texts");
    const random = Array.from({ length: RANDOM_TEXTS }, () => randomText((below) => stream.nextInt(below)));
    const texts = [...MIXED_TEXTS, MIXED_TEXTS.join("\n"), ...random].map(beforeNul);
    const different = await withLlamaCpp(
      model.gguf,
      (opened) =>
        Promise.resolve(
          texts
            .map((text) => ({ text, theirs: llamaIds(opened, text), ours: tokenizer.encode(text, { addSpecialTokens: false }) }))
            .filter(({ theirs, ours }) => theirs.join() !== ours.join()),
        ),
      true,
    );
    expect({ seed: SEED, count: different.length, first: different.slice(0, 3) }).toEqual({ seed: SEED, count: 0, first: [] });
  });

  it("gives llama.cpp's ids for a chat with its control tokens, and its text back", async () => {
    if (model === null) return;
    const tokenizer = await loadTokenizer(model.folder);
    const chat = "<|im_start|>user\nWhat is 2+2?<|im_end|>\n<|im_start|>assistant\n4<|im_end|>\n<|endoftext|><repo_name>";
    const theirs = await withLlamaCpp(model.gguf, (opened) => Promise.resolve(llamaIds(opened, chat, true)), true);
    expect(tokenizer.encode(chat)).toEqual(theirs);
    expect(tokenizer.decode(theirs)).toBe(chat);
    const text = MIXED_TEXTS.join("\n");
    expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
  });
});
