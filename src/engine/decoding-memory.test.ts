import { expect, test } from "vitest";
import type { ModelSpec } from "../model/index.ts";
import { decodingRunBytes, prefillRows } from "./decoding-memory.ts";

/** Of a model only its heads count. */
const spec = { headCount: 32 } as ModelSpec;
/** Three fp32 copies of 32 heads' scores. */
const scores = (rows: number, cache: number): number => 3 * 4 * 32 * rows * (cache + rows);

test("a prompt is read in fewer rows the longer the cache is, and never in fewer than eight", () => {
  expect([128, 4096, 8192, 32_768, 131_072, 10_000_000].map((cache) => prefillRows(spec, cache))).toEqual([256, 256, 128, 32, 8, 8]);
  for (const cache of [128, 4096, 8192, 32_768]) expect(scores(prefillRows(spec, cache), cache)).toBeLessThanOrEqual(512 * 2 ** 20);
});

test("the largest run is a prompt's or a step's of many streams, and takes no less with longer contexts", () => {
  expect(decodingRunBytes(spec, 1, 1000)).toBe(scores(256, 1000));
  expect(decodingRunBytes(spec, 512, 1000)).toBe(3 * 4 * 32 * 512 * 1001);
  expect(decodingRunBytes(spec, 8, 100_000)).toBe(512 * 2 ** 20);
  expect(decodingRunBytes(spec, 1, 1_000_000)).toBe(scores(8, 1_000_000));
  const each = Array.from({ length: 60 }, (_, i) => decodingRunBytes(spec, 8, 300 * (i + 1)));
  expect(each).toEqual(each.toSorted((a, b) => a - b));
});
