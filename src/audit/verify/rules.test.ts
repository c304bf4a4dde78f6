import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { HEADER_CASES } from "../fixtures/header-cases.ts";
import type { RuleCase, Scene } from "../fixtures/rule-case.ts";
import { VALUE_CASES } from "../fixtures/value-cases.ts";
import { writeFolder } from "../fixtures/write-files.ts";
import { type VerifyResult, verifyPath } from "./index.ts";
import { RULES, type RuleId } from "./rules/index.ts";

// The type is total: a rule without fixtures does not compile.
const CASES: Record<RuleId, RuleCase> = { ...HEADER_CASES, ...VALUE_CASES };
const IDS = Object.keys(RULES) as RuleId[];

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "heirloom-verify-"));
});
afterAll(() => rm(root, { recursive: true }));

let scenes = 0;
async function verify({ subject, base, previous, options }: Scene): Promise<VerifyResult> {
  const folder = join(root, String(scenes++));
  await writeFolder(join(folder, "subject"), subject);
  if (base !== undefined) await writeFolder(join(folder, "base"), base);
  if (previous !== undefined) await writeFolder(join(folder, "previous"), previous);
  return verifyPath(join(folder, "subject"), {
    ...options,
    ...(base === undefined ? {} : { base: join(folder, "base") }),
    ...(previous === undefined ? {} : { against: join(folder, "previous") }),
  });
}

describe("the table of rules", () => {
  it("has every file of the folder, under its name", async () => {
    const files = (await readdir("src/audit/verify/rules")).filter((name) => name !== "index.ts").map((name) => name.replace(/\.ts$/, ""));
    expect([...IDS].sort()).toEqual(files.sort());
    for (const [id, rule] of Object.entries(RULES)) expect(rule.id).toBe(id);
  });

  it("says of every rule what it means and what to do, without a line break", () => {
    for (const { meaning, remedy } of Object.values(RULES)) {
      expect(meaning).toMatch(/^[^\n]{40,}\.$/);
      expect(remedy).toMatch(/^[^\n]{20,}[^.\n]$/);
    }
  });
});

describe.each(IDS)("rule %s", (id) => {
  const { triggers, says, quiet } = CASES[id];

  it("finds what it is for", async () => {
    const { findings, checked } = await verify(triggers);
    expect(checked).toContain(id);
    const found = findings.filter(({ rule }) => rule === id);
    expect(found.map(({ message }) => message).join("\n")).toMatch(says);
    for (const { severity, hint } of found) {
      expect(severity).toBe(RULES[id].severity);
      expect(hint).not.toBe("");
    }
  });

  it("is silent on files that only look like it", async () => {
    const { findings, checked } = await verify(quiet);
    expect(checked).toContain(id);
    expect(findings.filter(({ rule }) => rule === id)).toEqual([]);
  });
});
