import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runInBrowser } from "./browser.ts";
import { findUnreached } from "./error-codes.ts";
import { findManifestProblems } from "./exports.ts";
import { findPackProblems } from "./package.ts";
import { findOversized } from "./size.ts";
import { countTests } from "./tests.ts";
import { findBareThrows, mustThrowCodes } from "./throws.ts";
import { findUndocumented } from "./tsdoc.ts";

const lines = (count: number): string => "  work();\n".repeat(count);

describe("the size gate", () => {
  it("names a file of 401 lines and lets one of 400 pass", () => {
    expect(findOversized({ path: "src/a.ts", text: "x;\n".repeat(400) })).toEqual([]);
    expect(findOversized({ path: "src/a.ts", text: "x;\n".repeat(401) })).toEqual(["src/a.ts: 401 lines, at most 400"]);
  });

  it("names a function of 61 lines with its place and name, whatever its form", () => {
    expect(findOversized({ path: "a.ts", text: `function fit() {\n${lines(58)}}\n` })).toEqual([]);
    expect(findOversized({ path: "a.ts", text: `\nfunction long() {\n${lines(59)}}\n` })).toEqual([
      "a.ts:2: long has 61 lines, at most 60",
    ]);
    expect(findOversized({ path: "a.ts", text: `const arrow = () => {\n${lines(59)}};\n` })).toEqual([
      "a.ts:1: arrow has 61 lines, at most 60",
    ]);
    expect(findOversized({ path: "a.ts", text: `class C {\nmethod() {\n${lines(59)}}\n}\n` })).toEqual([
      "a.ts:2: method has 61 lines, at most 60",
    ]);
  });

  it("lets a chapter of tests be long, but not one test", () => {
    expect(findOversized({ path: "a.test.ts", text: `describe("x", () => {\n${lines(100)}});\n` })).toEqual([]);
    expect(findOversized({ path: "a.test.ts", text: `describe.each([1])("x", () => {\n${lines(100)}});\n` })).toEqual([]);
    expect(findOversized({ path: "a.test.ts", text: `it("x", () => {\n${lines(100)}});\n` })).toHaveLength(1);
  });

  it("exempts generated code and data tables by name", () => {
    expect(findOversized({ path: "src/onnx_pb.ts", text: "x;\n".repeat(500) })).toEqual([]);
    expect(findOversized({ path: "src/names.table.ts", text: "x;\n".repeat(500) })).toEqual([]);
  });
});

describe("the throws gate", () => {
  it("holds for what ships, and names what it leaves out", () => {
    expect(["src/train/train.ts", "src/cli/main.ts"].every(mustThrowCodes)).toBe(true);
    const left = [
      "src/core/errors.ts",
      "src/train/fixtures/tiny-run.ts",
      "src/cli/run.test.ts",
      "tools/base/bigram.ts",
      "vitest.config.ts",
    ];
    expect(left.filter(mustThrowCodes)).toEqual([]);
  });

  it("names every bare error that is thrown or given to reject", () => {
    const text =
      'throw new Error("a");\nthrow new TypeError("b");\nthrow Error("c");\nreject(new RangeError("d"));\nPromise.reject(new Error("e"));\n';
    expect(findBareThrows({ path: "src/x.ts", text })).toHaveLength(5);
  });

  it("has nothing against our own errors, or an error that is not thrown", () => {
    const text = 'throw new HeirloomError("USAGE", "a");\nthrow new InternalError("b");\nthrow error;\nconst cause = new Error("c");\n';
    expect(findBareThrows({ path: "src/x.ts", text })).toEqual([]);
  });
});

describe("the error-codes gate", () => {
  it("names a code that no test quotes", () => {
    expect(findUnreached(["A_CODE", "B_CODE"], 'expect(code).toBe("A_CODE")', {})).toEqual(["B_CODE: no test names it"]);
  });

  it("does not take a code for its longer namesake", () => {
    expect(findUnreached(["A"], '"A_CODE"', {})).toHaveLength(1);
  });

  it("lets a code wait with a reason until a test names it or it is gone", () => {
    expect(findUnreached(["A"], "", { A: "later" })).toEqual([]);
    expect(findUnreached(["A"], "'A'", { A: "later" })).toHaveLength(1);
    expect(findUnreached([], "", { A: "later" })).toHaveLength(1);
  });
});

describe("the exports gate", () => {
  const manifest = {
    name: "heirloom",
    version: "1.0.0",
    exports: { "./model": { types: "./dist/model/index.d.ts", default: "./dist/model/index.js" } },
    dependencies: { zod: "4.6.7" },
    devDependencies: {},
    peerDependencies: {},
  };

  it("is content when folders and subpaths agree and versions are exact", () => {
    expect(findManifestProblems(manifest, (path) => path === "src/model/index.ts" || path === "src/cli/index.ts")).toEqual([]);
  });

  it("names a subpath without a file, a folder without a subpath and a version range", () => {
    const problems = findManifestProblems({ ...manifest, dependencies: { zod: "^4.6.7" } }, (path) => path === "src/ledger/index.ts");
    expect(problems).toEqual([
      "heirloom/model: src/model/index.ts does not exist",
      'src/ledger/ has a door but no subpath "./ledger"',
      'zod: "^4.6.7" is not one exact version',
    ]);
  });
});

describe("the pack gate", () => {
  const whole = ["package.json", "README.md", "LICENSE", "NOTICE", "dist/index.js", "dist/index.d.ts", "dist/cli/main.js"];

  it("names what does not belong into the package and what is missing from it", () => {
    expect(findPackProblems(whole)).toEqual([]);
    expect(findPackProblems([...whole, "dist/model/x.test.js", "vectors/a.json"])).toHaveLength(2);
    expect(findPackProblems(whole.slice(1))).toEqual(["package.json: missing from the package"]);
  });
});

describe("the count of tests", () => {
  it("takes a test file that could not be loaded for a failed test", () => {
    const loaded = { status: "passed", assertionResults: [{}] };
    const broken = { status: "failed", assertionResults: [] };
    const report = { numPassedTests: 3, numFailedTests: 1, numPendingTests: 2, numTodoTests: 0, testResults: [loaded, broken] };
    expect(countTests(report)).toEqual({ passed: 3, failed: 2, skipped: 2 });
  });
});

describe("the tsdoc gate", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "heirloom-tsdoc-"));
    await writeFile(
      join(folder, "inner.ts"),
      "/** Says. */\nexport const said = 1;\nexport const silent = 2;\nexport interface Silent { a: number }\n",
    );
    await writeFile(join(folder, "made_pb.ts"), "export const generated = 1;\n");
    await writeFile(
      join(folder, "index.ts"),
      'export { said, silent, type Silent } from "./inner.ts";\nexport { generated } from "./made_pb.ts";\n',
    );
  });
  afterAll(() => rm(folder, { recursive: true }));

  it("names the exports of a door that say nothing, where they are declared", () => {
    expect(findUndocumented([join(folder, "index.ts")], folder)).toEqual({
      checked: 4,
      findings: ["inner.ts:3: silent has no TSDoc", "inner.ts:4: Silent has no TSDoc"],
    });
  });
});

describe("the browser gate", () => {
  it("fails without Chromium and says what to install, instead of skipping", async () => {
    for (const env of [{ PATH: "" }, { CHROME_BIN: "nowhere/chrome", PATH: process.env["PATH"] }]) {
      const result = await runInBrowser(env);
      expect(result).toMatchObject({ ok: false, note: "no Chromium" });
      expect(result.details).toContain("apt-get install -y --no-install-recommends chromium");
    }
  });
});
