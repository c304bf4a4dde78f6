import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { referencePages } from "./reference.ts";

it("the reference pages say what the program does; `npm run docs` writes them", async () => {
  for (const { file, text } of await referencePages())
    expect(readFileSync(new URL(`../../docs/reference/${file}`, import.meta.url), "utf8")).toBe(text);
});
