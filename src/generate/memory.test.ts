import { afterEach, describe, expect, test } from "vitest";
import { kvCacheBytes } from "../engine/index.ts";
import type { ModelSpec } from "../model/index.ts";
import { planCache } from "./memory.ts";

/** What keys and values depend on: 1 KiB for each token and slot. */
const spec = { layerCount: 2, kvHeadCount: 8, headDim: 8, maxPositions: 4096 } as ModelSpec;
const KIB = 1024;
const nothing = (): number => 0;

const available = process.availableMemory;
afterEach(() => {
  process.availableMemory = available;
});

function failed(run: () => unknown): unknown {
  try {
    return run();
  } catch (error) {
    return error;
  }
}

describe("a plan of the memory that an engine takes", () => {
  test("counts what runs hold besides keys and values, and cuts the context to what fits with it", () => {
    expect(kvCacheBytes(spec, 1, 1)).toBe(KIB);
    const wish = { slots: 2, models: 1, memoryLimit: 8192 * KIB };
    expect(planCache(spec, { ...wish, runBytes: nothing })).toEqual({ contextLength: 4096, bytes: 8192 * KIB, notes: [] });
    const runBytes = (tokens: number): number => Math.min(tokens, 1000) * 2 * KIB;
    const plan = planCache(spec, { ...wish, runBytes });
    expect(plan).toMatchObject({ contextLength: 3096, bytes: 2 * 3096 * KIB });
    expect(plan.notes).toEqual([expect.stringContaining("the context is cut from 4096 to 3096 tokens")]);
    expect(failed(() => planCache(spec, { ...wish, contextLength: 4096, runBytes }))).toMatchObject({
      code: "CACHE_TOO_LARGE",
      problems: [{ details: { bytes: 10_192 * KIB, limit: 8192 * KIB, fitting: 3096 } }],
    });
    expect(failed(() => planCache(spec, { ...wish, runBytes: () => 8192 * KIB }))).toMatchObject({
      code: "CACHE_TOO_LARGE",
      problems: [{ hint: "take fewer slots" }],
    });
  });

  // There the system's figure leaves out what it would give back at once, and the plan does not go by it.
  test.skipIf(process.platform === "darwin")("goes by the memory that can be had now where that is less than half of all", () => {
    process.availableMemory = () => 3000 * KIB;
    expect(planCache(spec, { slots: 1, models: 1, runBytes: nothing })).toMatchObject({ contextLength: 3000 });
    process.availableMemory = () => 100 * KIB;
    expect(failed(() => planCache(spec, { slots: 1, models: 1, runBytes: nothing }))).toMatchObject({ code: "CACHE_TOO_LARGE" });
    process.availableMemory = () => 5000 * KIB;
    expect(planCache(spec, { slots: 1, models: 1, runBytes: nothing })).toMatchObject({ contextLength: 4096 });
  });
});
