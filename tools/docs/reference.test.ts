import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { ALL_RULES } from "../../src/audit/index.ts";
import { referencePages } from "./reference.ts";

it("the reference pages say what the program does; `npm run docs` writes them", async () => {
  for (const { file, text } of await referencePages())
    expect(readFileSync(new URL(`../../docs/reference/${file}`, import.meta.url), "utf8")).toBe(text);
});

it("the page of symptoms names every rule of the audit, and no other", () => {
  const page = readFileSync(new URL("../../docs/what-verify-catches.md", import.meta.url), "utf8");
  const named = [...page.matchAll(/verify-rules\.md#([a-z0-9-]+)/g)].map(([, id]) => id);
  expect(new Set(named)).toEqual(new Set(ALL_RULES.map(({ id }) => id)));
});
