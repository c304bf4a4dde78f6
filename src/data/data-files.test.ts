import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { expandDataPath } from "./data-files.ts";
import { expandBraces, matchName } from "./glob.ts";

const folder = mkdtempSync(join(tmpdir(), "heirloom-files-"));
afterAll(() => rmSync(folder, { recursive: true }));
for (const name of [
  "b.jsonl",
  "a.json",
  "deep/c.csv",
  "deep/er/d.jsonl",
  "deep/.hidden.jsonl",
  ".git/e.json",
  "README.md",
  "LICENSE.txt",
  "notes.md",
  "x.bin",
  "odd[1]*.jsonl",
]) {
  mkdirSync(join(folder, name, ".."), { recursive: true });
  writeFileSync(join(folder, name), "{}");
}
symlinkSync(join(folder, "deep"), join(folder, "link"));

const names = (paths: readonly string[]): string[] => paths.map((path) => relative(folder, path));

async function found(path: string): Promise<{ files: string[]; skipped: string[] }> {
  const { files, skipped } = await expandDataPath(join(folder, path));
  return { files: names(files), skipped: names(skipped) };
}

describe("a path stands for", () => {
  test("a file, also one that is called like a pattern", async () => {
    expect((await found("x.bin")).files).toEqual(["x.bin"]);
    expect((await found("odd[1]*.jsonl")).files).toEqual(["odd[1]*.jsonl"]);
  });

  test("the data files of a folder, in order; what is hidden or no data is passed over and counted", async () => {
    expect(await found("deep")).toEqual({ files: ["deep/c.csv", "deep/er/d.jsonl"], skipped: ["deep/.hidden.jsonl"] });
    const whole = await found("");
    expect(whole.files).toEqual([
      "a.json",
      "b.jsonl",
      "deep/c.csv",
      "deep/er/d.jsonl",
      "link/c.csv",
      "link/er/d.jsonl",
      "notes.md",
      "odd[1]*.jsonl",
    ]);
    expect(whole.skipped).toEqual([".git", "LICENSE.txt", "README.md", "deep/.hidden.jsonl", "link/.hidden.jsonl", "x.bin"]);
  });

  test.each([
    ["*.json*", ["a.json", "b.jsonl", "odd[1]*.jsonl"]],
    ["{b,a}.{json,jsonl}", ["a.json", "b.jsonl"]],
    ["?.json", ["a.json"]],
    ["deep/**/*.jsonl", ["deep/er/d.jsonl"]],
    ["deep/**", ["deep/c.csv", "deep/er/d.jsonl"]],
    ["d*p/*.csv", ["deep/c.csv"]],
  ])("the files that a pattern matches: %s", async (pattern, expected) => {
    expect((await found(pattern)).files).toEqual(expected);
  });

  test("nothing, which is an error", async () => {
    await expect(expandDataPath(join(folder, "*.parquet"))).rejects.toMatchObject({ code: "FILE_MISSING" });
    await expect(expandDataPath(join(folder, ".git"))).resolves.toMatchObject({ skipped: [] });
  });
});

describe("a pattern", () => {
  test("is matched without trying again and again", () => {
    expect(matchName("a*b*c", "axxbxxbxc")).toBe(true);
    expect(matchName("*", "")).toBe(true);
    expect(matchName("?", "你")).toBe(true);
    expect(matchName("a?", "a")).toBe(false);
    const started = performance.now();
    expect(matchName(`${"a*".repeat(30)}b`, "a".repeat(3000))).toBe(false);
    expect(performance.now() - started).toBeLessThan(2000);
  });

  test("has alternatives, also nested ones, but not without end", () => {
    expect(expandBraces("a{b,c{d,e}}")).toEqual(expect.arrayContaining(["ab", "acd", "ace"]));
    expect(() => expandBraces("{a,b}".repeat(12))).toThrow(/at most 1000 alternatives/);
  });
});
