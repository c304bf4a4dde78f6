import { readFileSync, statSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { loadDataset, loadTokenizer } from "../../src/data/index.ts";
import { parameterCount, parseModelConfig } from "../../src/model/index.ts";

const BASE = "assets/base";
const SETS = ["definitions", "verses"];
const file = (set: string, part: string) => `assets/demo/${set}-${part}.jsonl`;
const rows = (set: string, part: string): { prompt: string; completion: string }[] =>
  readFileSync(file(set, part), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));

describe("the bundled base", () => {
  it("has 5,786,368 parameters, which bf16 holds in less than 12 MB", () => {
    const spec = parseModelConfig(JSON.parse(readFileSync(`${BASE}/config.json`, "utf8")), BASE);
    expect(parameterCount(spec)).toBe(5_786_368);
    expect(parameterCount(spec) * 2).toBeLessThan(12e6);
  });

  it("has a tokenizer as large as its embedding, with the special tokens where the config says", async () => {
    const config = JSON.parse(readFileSync(`${BASE}/config.json`, "utf8"));
    const tokenizer = await loadTokenizer(BASE);
    expect(tokenizer.vocabSize).toBe(config.vocab_size);
    expect([tokenizer.bosId, tokenizer.eosId, tokenizer.padId]).toEqual([config.bos_token_id, config.eos_token_id, config.pad_token_id]);
  });

  it("gives any text back after encoding", async () => {
    const tokenizer = await loadTokenizer(BASE);
    const text = "And God said, ¾ of it: “no”… 😀\n\ttwo  spaces";
    expect(tokenizer.decode(tokenizer.encode(text, { addSpecialTokens: false }))).toBe(text);
  });
});

describe.each(SETS)("the demo's set of %s", (set) => {
  it("shares no prompt and no completion between train and eval", () => {
    for (const field of ["prompt", "completion"] as const) {
      const trained = new Set(rows(set, "train").map((row) => row[field]));
      expect(rows(set, "eval").filter((row) => trained.has(row[field]))).toEqual([]);
    }
  });

  it.each([
    ["train", 800],
    ["eval", 80],
  ])("reads as %s data with every row short and no token half trained", async (part, count) => {
    const { report } = await loadDataset({ files: [file(set, part)], maxLength: 96 }, await loadTokenizer(BASE));
    expect(report).toMatchObject({ examples: count, tooLong: 0, unlabelled: 0, mixedTokenRows: 0, unusedFields: {} });
  });
});

it("keeps the demo's data below 400 KB", () => {
  const sizes = SETS.flatMap((set) => ["train", "eval"].map((part) => statSync(file(set, part)).size));
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(400_000);
});
