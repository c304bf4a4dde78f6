import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { isHeirloomError } from "../../core/index.ts";
import { readRows } from "./index.ts";

const folder = mkdtempSync(join(tmpdir(), "heirloom-hostile-"));
afterAll(() => rmSync(folder, { recursive: true }));
const vector = (name: string): Buffer => readFileSync(new URL(`../../../vectors/data/${name}`, import.meta.url));

/** Reads all rows; anything but an error of ours escapes, and so does an internal one. */
async function survives(name: string, content: Uint8Array | string): Promise<void> {
  const path = join(folder, name);
  writeFileSync(path, content);
  try {
    for await (const { row } of readRows(path, "line", () => undefined)) expect(row).toBeGreaterThan(0);
  } catch (error) {
    if (!isHeirloomError(error) || error.code === "INTERNAL") throw error;
  }
}

describe("a damaged file ends in an error of ours or in rows, never otherwise:", () => {
  test.each(["chats-snappy", "pairs-zstd-groups", "texts-gzip"])(
    "Parquet with flipped bytes: %s",
    async (name) => {
      const bytes = vector(`${name}.parquet`);
      const flips = fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 })), { minLength: 1, maxLength: 4 });
      await fc.assert(
        fc.asyncProperty(flips, async (changes) => {
          const damaged = Uint8Array.from(bytes);
          for (const [at, mask] of changes) damaged[at] = (damaged[at] as number) ^ mask;
          await survives("flipped.parquet", damaged);
        }),
        { numRuns: 150 },
      );
    },
    120_000,
  );

  test("Parquet cut anywhere", async () => {
    const bytes = vector("texts-gzip.parquet");
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length - 1), (length) => survives("cut.parquet", bytes.subarray(0, length))),
      { numRuns: 60 },
    );
  });

  test.each(["a.json", "a.jsonl", "a.csv", "a.tsv", "a.txt", "a"])("any bytes and any text as %s", async (name) => {
    const tokens = fc.constantFrom(
      "[",
      "]",
      "{",
      "}",
      ",",
      ":",
      '"',
      "\\",
      "\n",
      "\r",
      "\t",
      "a",
      "1",
      "null",
      " ",
      "\ufeff",
      '"a":1',
      "你",
    );
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.uint8Array({ maxLength: 60 }),
          fc.array(tokens, { maxLength: 40 }).map((parts) => parts.join("")),
        ),
        (content) => survives(name, content),
      ),
      { numRuns: 150 },
    );
  });
});

describe("a JSON list", () => {
  test("gives the elements of JSON.parse, in any formatting", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.jsonValue(), { maxLength: 8 }), fc.nat(4), async (elements, indent) => {
        const path = join(folder, "list.json");
        writeFileSync(path, JSON.stringify(elements, null, indent));
        const rows: unknown[] = [];
        for await (const { value } of readRows(path, "file", () => undefined)) rows.push(value);
        expect(JSON.stringify(rows)).toBe(JSON.stringify(elements));
      }),
      { numRuns: 150 },
    );
  });
});
