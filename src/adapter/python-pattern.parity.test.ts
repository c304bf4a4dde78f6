import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { translatePythonPattern } from "./index.ts";

interface PatternCase {
  readonly pattern: string;
  readonly names: readonly string[];
  /** null: Python finds the pattern invalid. */
  readonly expected: { readonly fullmatch: readonly boolean[]; readonly match: readonly boolean[] } | null;
}

const vectors = new URL("../../vectors/python-re/cases.json", import.meta.url);
const { cases, refused } = JSON.parse(readFileSync(vectors, "utf8")) as { cases: PatternCase[]; refused: string[] };

describe("translatePythonPattern", () => {
  it("gives every pattern the meaning that Python's re gives it", () => {
    const wrong: string[] = [];
    for (const { pattern, names, expected } of cases) {
      if (expected === null) continue;
      for (const mode of ["fullmatch", "match"] as const) {
        const translated = translatePythonPattern(pattern, mode);
        names.forEach((name, i) => {
          if (translated.test(name) !== expected[mode][i])
            wrong.push(`${mode} ${JSON.stringify(pattern)} on ${JSON.stringify(name)}: Python says ${expected[mode][i]}`);
        });
      }
    }
    expect(wrong).toEqual([]);
  });

  it("refuses what Python finds invalid", () => {
    const invalid = cases.filter(({ expected }) => expected === null);
    expect(invalid.length).toBeGreaterThan(15);
    const accepted = invalid.filter(({ pattern }) => {
      try {
        translatePythonPattern(pattern, "fullmatch");
        return true;
      } catch (error) {
        expect(error).toMatchObject({ code: "ADAPTER_PATTERN_UNSUPPORTED" });
        return false;
      }
    });
    expect(accepted.map(({ pattern }) => pattern)).toEqual([]);
  });

  it.each(refused)("refuses %s by name, as it cannot be carried over", (pattern) => {
    expect(() => translatePythonPattern(pattern, "fullmatch")).toThrow(expect.objectContaining({ code: "ADAPTER_PATTERN_UNSUPPORTED" }));
  });
});

describe("the work of matching", () => {
  const name = `${"a".repeat(200)}!`;
  it.each(["(a*)*b", "(a+)+b", "(a|a)*b", "(a|aa)+b", "(?:(?:a*)*)*b", "(.*)*(.*)*(.*)*b", "(?:a?){100}a{100}b"])(
    "stays small for the hostile pattern %s",
    (pattern) => {
      const start = performance.now();
      expect(translatePythonPattern(pattern, "fullmatch").test(name)).toBe(false);
      // Milliseconds in practice; a backtracking matcher would not end within this test's time.
      expect(performance.now() - start).toBeLessThan(1000);
    },
  );

  it.each([
    "((a{100}){100}){100}",
    "(?:(?:){20000}){20000}",
    "a{1000000}",
    "a{99999999999}",
    `${"(".repeat(200)}a${")".repeat(200)}`,
    "a".repeat(30_000),
    "(?>(?>(?>a*)*)*)*b{9999}{2}",
  ])("refuses a pattern that grows too large (%#)", (pattern) => {
    expect(() => translatePythonPattern(pattern, "fullmatch").test(name)).toThrow(
      expect.objectContaining({ code: "ADAPTER_PATTERN_UNSUPPORTED" }),
    );
  });

  it("ends for nested atomic groups, by an error at the worst", () => {
    const pattern = translatePythonPattern("(?:(?>(?:(?>(?:(?>a*)b?)*)b?)*)b?)*c", "fullmatch");
    const start = performance.now();
    try {
      expect(pattern.test(name)).toBe(false);
    } catch (error) {
      expect(error).toMatchObject({ code: "ADAPTER_PATTERN_UNSUPPORTED" });
    }
    expect(performance.now() - start).toBeLessThan(5000);
  });
});
