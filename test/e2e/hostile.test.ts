import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { HOSTILE_CASES } from "../../bench/hostile/cases.ts";
import { runMutations } from "../../bench/hostile/mutations.ts";
import { runCase } from "../../bench/hostile/run-case.ts";
import { isBuilt, MAIN } from "./fixtures/program.ts";

// The large ones take minutes to write and read: `npm run bench -- hostile` has them.
const CASES = Object.entries(HOSTILE_CASES).flatMap(([kind, cases]) =>
  cases.filter(({ isLarge }) => isLarge !== true).map((hostile) => ({ kind, ...hostile })),
);

describe.skipIf(!isBuilt)("hostile input", () => {
  it.each(CASES)("$kind: $name ends with a result or a typed error, within the limits, printed safely", async ({ make }) => {
    const root = mkdtempSync(join(tmpdir(), "heirloom-hostile-"));
    try {
      const { faults } = await runCase([MAIN], await make(join(root, "input")), root);
      expect(faults).toEqual([]);
    } finally {
      rmSync(root, { recursive: true });
    }
  });
});

it("damaged checkpoints give results or typed errors, whatever byte is wrong", async () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  const { cases, read, codes } = await runMutations(200, seed); // its errors name the seed
  expect(cases).toBe(200);
  expect(read + Object.values(codes).reduce((sum, count) => sum + count, 0)).toBe(400);
});
