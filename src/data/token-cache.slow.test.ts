import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { type DatasetOptions, loadDataset } from "./load-dataset.ts";
import { tokenCacheFolder } from "./token-cache.ts";
import { createTokenizer } from "./tokenizer.ts";

const folder = mkdtempSync(join(tmpdir(), "heirloom-cache-"));
afterAll(() => rmSync(folder, { recursive: true }));

const CHATML =
  "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
const tokenizerOf = (chatTemplate: string) =>
  createTokenizer(
    {
      tokenizer: JSON.parse(readFileSync(new URL("../../vectors/tokenizers/llama3.tokenizer.json", import.meta.url), "utf8")),
      config: { bos_token: "<s>", eos_token: "</s>", chat_template: chatTemplate },
    },
    "llama3",
  );
const tokenizer = tokenizerOf(CHATML);

const rows = Array.from({ length: 120 }, (_, i) => ({
  question: `What is ${i} plus ${i}? 你好 ${"word ".repeat(i % 30)}`,
  answer: `It is ${2 * i}.`,
  id: i,
}));
const path = join(folder, "rows.jsonl");
writeFileSync(path, rows.map((row) => JSON.stringify(row)).join("\n"));

let caches = 0;
const newCache = (): string => join(folder, `cache-${++caches}`);
const load = (options: Partial<DatasetOptions> = {}, with_ = tokenizer) =>
  loadDataset({ files: [path], maxLength: 300, ...options }, with_);
const entriesOf = (cache: string): string[] =>
  existsSync(cache) ? readdirSync(cache, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".tokens")) : [];

async function contents(options: Partial<DatasetOptions>, with_ = tokenizer) {
  const { examples, fingerprint, report } = await load(options, with_);
  return {
    fingerprint,
    examples: examples.map(({ inputIds, labels, row, source }) => ({
      inputIds: Array.from(inputIds),
      labels: Array.from(labels),
      row,
      source,
    })),
    report: { ...report, cachedFiles: 0, notes: [] },
    cachedFiles: report.cachedFiles,
    notes: report.notes,
  };
}

describe("the cache of tokens", () => {
  test("gives back what was put in, with the same report and fingerprint", async () => {
    const cache = newCache();
    const plain = await contents({});
    const first = await contents({ cache });
    const second = await contents({ cache });
    expect([first.cachedFiles, second.cachedFiles]).toEqual([0, 1]);
    expect(first).toEqual(plain);
    expect({ ...second, cachedFiles: 0 }).toEqual(plain);
    expect(entriesOf(cache).length).toBe(1);
  });

  test("goes by content, not by name, and not by what changes no token", async () => {
    const cache = newCache();
    await load({ cache });
    const copy = join(folder, "copy.jsonl");
    writeFileSync(copy, readFileSync(path));
    const { report, examples } = await load({ cache, files: [copy], now: new Date(2000, 1, 1) });
    expect([report.cachedFiles, examples[0]?.source]).toEqual([1, copy]);
  });

  test("has another entry for whatever changes a token, a label or a row", async () => {
    const cache = newCache();
    const other = tokenizerOf(`x${CHATML}`);
    const variants: [Partial<DatasetOptions>, typeof tokenizer?][] = [
      [{}],
      [{ maxLength: 40, onTooLong: "truncate" }],
      [{ maxLength: 40, onTooLong: "drop" }],
      [{ trainOn: "all" }],
      [{ columns: { prompt: "question", completion: "answer" } }],
      [{ format: "question-answer" }],
      [{}, other],
    ];
    for (const [options, with_] of variants) expect((await load({ cache, ...options }, with_)).report.cachedFiles).toBe(0);
    expect(entriesOf(cache).length).toBe(variants.length);
    for (const [options, with_] of variants)
      expect(await contents({ cache, ...options }, with_)).toMatchObject({
        cachedFiles: 1,
        fingerprint: (await load(options, with_)).fingerprint,
      });
  });

  test("knows the day where the template prints it, and the second where it prints that", async () => {
    const dated = (format: string) => tokenizerOf(`{{ strftime_now('${format}') }}${CHATML}{% if messages|length % 2 == 0 %}{% endif %}`);
    const cachedAt = async (cache: string, hour: number, day: number, format: string) =>
      (await load({ cache, now: new Date(2024, 6, day, hour) }, dated(format))).report.cachedFiles;
    const daily = newCache();
    expect([
      await cachedAt(daily, 1, 1, "%d %b %Y"),
      await cachedAt(daily, 2, 1, "%d %b %Y"),
      await cachedAt(daily, 1, 2, "%d %b %Y"),
    ]).toEqual([0, 1, 0]);
    const hourly = newCache();
    expect([await cachedAt(hourly, 1, 1, "%H"), await cachedAt(hourly, 2, 1, "%H"), await cachedAt(hourly, 1, 1, "%H")]).toEqual([0, 0, 1]);
  });

  test.each([
    ["a flipped byte among the tokens", (bytes: Buffer) => bytes.fill(bytes[3000] === 1 ? 2 : 1, 3000, 3001)],
    ["a flipped byte in the tail", (bytes: Buffer) => bytes.fill(0xff, bytes.length - 50, bytes.length - 48)],
    ["half a file", (bytes: Buffer) => bytes.subarray(0, bytes.length / 2)],
    ["an empty file", () => Buffer.alloc(0)],
  ])("notices %s, makes the tokens anew and says so", async (_, damage) => {
    const cache = newCache();
    const plain = await contents({ cache });
    const entry = join(cache, entriesOf(cache)[0] ?? "");
    writeFileSync(entry, damage(readFileSync(entry)));
    const again = await contents({ cache });
    expect(again.notes).toEqual([expect.stringContaining("were damaged and are made anew")]);
    expect({ ...again, notes: [] }).toEqual(plain);
    expect((await load({ cache })).report.cachedFiles).toBe(1);
  });

  test("keeps nothing of a file with faults", async () => {
    const cache = newCache();
    const faulty = join(folder, "faulty.jsonl");
    writeFileSync(faulty, `${JSON.stringify(rows[0])}\n{broken\n`);
    await expect(load({ cache, files: [faulty] })).rejects.toMatchObject({ code: "JSONL_INVALID" });
    await expect(load({ cache, maxLength: 10 })).rejects.toMatchObject({ code: "DATA_ROW_TOO_LONG" });
    expect(entriesOf(cache)).toEqual([]);
  });

  test("that cannot be written is done without, and the report says so", async () => {
    const cache = join(folder, "a-file");
    writeFileSync(cache, "");
    chmodSync(cache, 0o600);
    const found = await contents({ cache });
    expect(found.notes).toEqual([expect.stringContaining("were not cached")]);
    expect(found.fingerprint).toBe((await load()).fingerprint);
  });

  test("lets go of what was not used for a month", async () => {
    const cache = newCache();
    await load({ cache });
    const old = join(cache, entriesOf(cache)[0] ?? "");
    utimesSync(old, new Date(0), new Date(0));
    await load({ cache, trainOn: "all" });
    expect(existsSync(old)).toBe(false);
    expect(entriesOf(cache).length).toBe(1);
  });

  test("lets go of the longest unused where it is too large", async () => {
    const cache = newCache();
    mkdirSync(join(cache, "ab"), { recursive: true });
    // Files with holes, which take no room on the disk.
    const entry = (name: string, gigabytes: number, daysUnused: number): string => {
      const path = join(cache, "ab", `${name}.tokens`);
      writeFileSync(path, "");
      truncateSync(path, gigabytes * 2 ** 30);
      const used = new Date(Date.now() - daysUnused * 24 * 3600 * 1000);
      utimesSync(path, used, used);
      return path;
    };
    const [recent, older, oldest] = [entry("recent", 12, 1), entry("older", 7, 2), entry("oldest", 2, 3)];
    await load({ cache });
    expect([recent, older, oldest].map((path) => existsSync(path))).toEqual([true, true, false]);
    expect(entriesOf(cache).length).toBe(3);
  });

  test("lies where the environment says", () => {
    expect(tokenCacheFolder({ HEIRLOOM_CACHE: "/c", XDG_CACHE_HOME: "/x" })).toBe(join("/c", "tokens"));
    expect(tokenCacheFolder({ XDG_CACHE_HOME: "/x" })).toBe(join("/x", "heirloom", "tokens"));
    expect(tokenCacheFolder({ HEIRLOOM_CACHE: "off" })).toBeNull();
    expect(tokenCacheFolder({})).toMatch(/\.cache.heirloom.tokens$/);
  });
});

describe("several threads", () => {
  const big = join(folder, "big.jsonl");
  // Several batches.
  writeFileSync(
    big,
    Array.from({ length: 420 }, (_, i) => JSON.stringify({ ...rows[i % 120], id: i, question: `${i} ${"lorem ipsum ".repeat(80)}` })).join(
      "\n",
    ),
  );

  test("give what one thread gives, in the same order", async () => {
    const one = await contents({ files: [big], threads: 1, maxLength: 1000 });
    const two = await contents({ files: [big], threads: 2, maxLength: 1000 });
    expect(two).toEqual(one);
    expect(two.examples.length).toBe(420);
  });

  test("give the faults that one thread gives, in the same order", async () => {
    const strict = tokenizerOf(
      `{% for m in messages %}{% if '7 ' in m.content[:4] %}{{ raise_exception('no ' + m.content[:6]) }}{% endif %}{{ m.content }}{% endfor %}`,
    );
    const faults = async (threads: number): Promise<unknown> =>
      load({ files: [big], threads }, strict).then(
        () => undefined,
        (error: unknown) => (error as { problems: unknown }).problems,
      );
    const one = await faults(1);
    expect(one).toHaveLength(20);
    expect(await faults(2)).toEqual(one);
  });
});
