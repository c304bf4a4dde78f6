import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { isHeirloomError } from "../core/index.ts";
import { loadTokenizer } from "./load-tokenizer.ts";
import { createTokenizer, requireEmbeddingRows } from "./tokenizer.ts";

type Json = Record<string, unknown>;
const llama3 = readFileSync(new URL("../../vectors/tokenizers/llama3.tokenizer.json", import.meta.url), "utf8");
const changed = (change: (json: Json & { model: Json }) => void): Json => {
  const json = JSON.parse(llama3) as Json & { model: Json };
  change(json);
  return json;
};
const create = (tokenizer: unknown, config: object = {}) => createTokenizer({ tokenizer, config }, "base/tokenizer.json");
const folder = mkdtempSync(join(tmpdir(), "heirloom-tokenizer-"));
afterAll(() => rmSync(folder, { recursive: true }));

function problemsOf(make: () => unknown): string[] {
  try {
    make();
  } catch (error) {
    if (isHeirloomError(error)) return error.problems.map(({ code, where, message }) => `${code} ${where}: ${message}`);
    throw error;
  }
  return [];
}

describe("a tokenizer", () => {
  test("knows special tokens by name, given as text or as an object, from either configuration", () => {
    const tokenizer = createTokenizer(
      {
        tokenizer: changed(() => undefined),
        config: { bos_token: { content: "<s>" } },
        specialTokensMap: { eos_token: "</s>", bos_token: "<unk>" },
      },
      "base",
    );
    expect([tokenizer.bosId, tokenizer.eosId, tokenizer.padId]).toEqual([1, 2, null]);
    expect(tokenizer.specialTokens.get("<|im_end|>")).toBe(4);
    expect(tokenizer.namedTokens).toEqual({ bos_token: "<s>", eos_token: "</s>" });
  });

  test("takes tokens that only tokenizer_config.json lists, whose ids may lie beyond the embedding", () => {
    const added = { added_tokens_decoder: { "900": { content: "<|new|>", special: true }, "1": { content: "<s>", special: true } } };
    const tokenizer = create(
      changed(() => undefined),
      added,
    );
    expect([tokenizer.maxId, tokenizer.vocabSize]).toEqual([900, 701]);
    expect(tokenizer.encode("a<|new|>", { addSpecialTokens: false }).at(-1)).toBe(900);
    expect(tokenizer.decode([900])).toBe("<|new|>");
  });

  test("is refused for an embedding that its largest id does not fit", () => {
    const tokenizer = create(changed(() => undefined));
    expect(() => requireEmbeddingRows(tokenizer, 699)).toThrow(
      expect.objectContaining({ code: "TOKENIZER_TOO_LARGE", details: { maxId: 699, rows: 699 } }),
    );
    expect(() => requireEmbeddingRows(tokenizer, 700)).not.toThrow();
  });

  test("matches named tokens that are plain entries of the vocabulary whole, as transformers does", () => {
    const bare = changed((json) => {
      json["added_tokens"] = [];
    });
    expect(create(bare, { eos_token: "</s>" }).encode("a</s>", { addSpecialTokens: false }).at(-1)).toBe(2);
    expect(create(bare).encode("a</s>", { addSpecialTokens: false }).at(-1)).not.toBe(2);
  });

  test("leaves ids without a token out when it decodes", () => {
    const tokenizer = create(changed(() => undefined));
    expect(tokenizer.decode([...tokenizer.encode("Hello", { addSpecialTokens: false }), 5000])).toBe("Hello");
    expect(tokenizer.decode([])).toBe("");
    expect(tokenizer.decode([1, 2], { skipSpecialTokens: true })).toBe("");
  });

  test("takes the default of several chat templates", () => {
    const template = (chat_template: unknown) =>
      create(
        changed(() => undefined),
        { chat_template },
      ).chatTemplate;
    expect(template("one")).toBe("one");
    expect(
      template([
        { name: "tool_use", template: "two" },
        { name: "default", template: "three" },
      ]),
    ).toBe("three");
    expect(template(undefined)).toBe(null);
  });
});

describe("a tokenizer that cannot be done as the original does it", () => {
  test.each([
    ["a Unigram model", (json) => (json.model["type"] = "Unigram"), /expected a tokenizer of type BPE, found "Unigram"/],
    ["dropout in the merges", (json) => (json.model["dropout"] = 0.1), /model.dropout: dropout 0.1 is not supported/],
    ["a prefix for later pieces", (json) => (json.model["continuing_subword_prefix"] = "##"), /continuing_subword_prefix/],
    [
      "an unknown pre-tokenizer",
      (json) => (json["pre_tokenizer"] = { type: "UnicodeScripts" }),
      /pre_tokenizer: the pre-tokenizer "UnicodeScripts" is not supported/,
    ],
    [
      "one inside a sequence",
      (json) => (json["pre_tokenizer"] = { type: "Sequence", pretokenizers: [{ type: "Digits" }, { type: "Digit" }] }),
      /pretokenizers\[1\]/,
    ],
    [
      "an unknown split behavior",
      (json) => (json["pre_tokenizer"] = { type: "Split", pattern: { String: "a" }, behavior: "Kept" }),
      /expected a split behavior/,
    ],
    [
      "a split without a pattern",
      (json) => (json["pre_tokenizer"] = { type: "Split", pattern: {}, behavior: "Isolated" }),
      /expected a pattern/,
    ],
    [
      "a pattern that is no regular expression",
      (json) => (json["pre_tokenizer"] = { type: "Split", pattern: { Regex: "(" }, behavior: "Isolated" }),
      /could not be used/,
    ],
    [
      "a precompiled normalizer",
      (json) => (json["normalizer"] = { type: "Precompiled" }),
      /normalizer: the normalizer "Precompiled" is not supported/,
    ],
    ["an unknown decoder", (json) => (json["decoder"] = { type: "Sequence", decoders: [{ type: "CTC" }] }), /decoder.decoders\[0\]/],
    ["an unknown post-processor", (json) => (json["post_processor"] = { type: "Other" }), /post_processor/],
    [
      "a token that must stand alone",
      (json) => (json["added_tokens"] = [{ id: 1, content: "x", single_word: true }]),
      /added_tokens\[0\]: single_word of "x"/,
    ],
    ["an added token without an id", (json) => (json["added_tokens"] = [{ content: "x" }]), /added_tokens\[0\]/],
    ["a vocabulary that is a list", (json) => (json.model["vocab"] = []), /model.vocab/],
    ["an id that is no number", (json) => (json.model["vocab"] = { a: "1" }), /expected a whole number as id of "a", found "1"/],
    ["merges that are no pairs", (json) => (json.model["merges"] = ["ab"]), /model.merges/],
  ] satisfies [string, (json: Json & { model: Json }) => unknown, RegExp][])("is refused by name: %s", (_title, change, message) => {
    const problems = problemsOf(() => create(changed(change)));
    expect(problems.length).toBeGreaterThan(0);
    expect(problems.join("\n")).toMatch(message);
    expect(problems[0]).toMatch(/^TOKENIZER_INVALID base\/tokenizer\.json/);
  });

  test("is refused with all its faults at once", () => {
    const broken = changed((json) => {
      json.model["dropout"] = 0.5;
      json["normalizer"] = { type: "Nmt" };
    });
    expect(problemsOf(() => create(broken, { eos_token: "<none>" })).length).toBe(3);
    expect(problemsOf(() => create([]))).toEqual(["TOKENIZER_INVALID base/tokenizer.json: expected an object, found an empty list"]);
  });
});

describe("a tokenizer folder", () => {
  test("is read whole, and chat_template.jinja wins", async () => {
    writeFileSync(join(folder, "tokenizer.json"), llama3);
    await expect(loadTokenizer(folder)).resolves.toMatchObject({ bosId: null, chatTemplate: null });
    writeFileSync(join(folder, "tokenizer_config.json"), JSON.stringify({ eos_token: "</s>", chat_template: "old" }));
    writeFileSync(join(folder, "special_tokens_map.json"), JSON.stringify({ bos_token: "<s>" }));
    await expect(loadTokenizer(folder)).resolves.toMatchObject({ bosId: 1, eosId: 2, chatTemplate: "old" });
    writeFileSync(join(folder, "chat_template.jinja"), "new");
    await expect(loadTokenizer(folder)).resolves.toMatchObject({ chatTemplate: "new" });
  });

  test("without tokenizer.json, or with a broken file, is refused by the file's name", async () => {
    await expect(loadTokenizer(tmpdir())).rejects.toMatchObject({ code: "FILE_MISSING" });
    writeFileSync(join(folder, "tokenizer_config.json"), "{");
    await expect(loadTokenizer(folder)).rejects.toMatchObject({
      code: "JSON_INVALID",
      message: expect.stringContaining("tokenizer_config.json") as unknown,
    });
  });
});
