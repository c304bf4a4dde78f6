import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { FileCollector } from "./file-collector.ts";
import { createTokenizer } from "./tokenizer.ts";

const folder = mkdtempSync(join(tmpdir(), "heirloom-collector-"));
afterAll(() => rmSync(folder, { recursive: true }));

test("tokens beyond memory are refused without a cache, and read with one", async () => {
  const path = join(folder, "rows.jsonl");
  writeFileSync(path, `${JSON.stringify({ text: "many words in a row" })}\n`.repeat(2000));
  const files = {
    tokenizer: JSON.parse(readFileSync("assets/base/tokenizer.json", "utf8")) as unknown,
    config: JSON.parse(readFileSync("assets/base/tokenizer_config.json", "utf8")) as unknown,
  };
  const tokenizer = createTokenizer(files, "tokenizer.json");
  const setup = {
    tokenizer: { name: tokenizer.name, files: tokenizer.files },
    template: { name: "none", source: null },
    now: new Date(0),
    options: {},
    limits: { maxLength: 100, onTooLong: "error" },
  } as const;
  const file = {
    path,
    weight: 1,
    options: { reading: {}, limits: setup.limits, dropInvalid: false },
  };
  const without = new FileCollector(setup, tokenizer, { cache: null, threads: 1, memoryBytes: 10_000 });
  await expect(without.load(file)).rejects.toMatchObject({
    code: "DATA_TOO_LARGE",
    hint: expect.stringContaining("HEIRLOOM_CACHE") as string,
  });
  const cached = new FileCollector(setup, tokenizer, { cache: join(folder, "cache"), threads: 1, memoryBytes: 10_000 });
  await cached.load(file);
  expect(cached.loaded[0]?.store.lengths).toHaveLength(2000);
});
