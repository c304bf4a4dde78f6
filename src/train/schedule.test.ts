import { describe, expect, test } from "vitest";
import { type ScheduleName, scheduleFactor, warmupLength } from "./schedule.ts";

/** transformers 5 `optimization.py`, lr_lambda(current_step), with current_step counted from 0; written out anew from its source. */
const TRANSFORMERS: Record<ScheduleName, (step: number, warmup: number, total: number) => number> = {
  linear: (step, warmup, total) => (step < warmup ? step / Math.max(1, warmup) : Math.max(0, (total - step) / Math.max(1, total - warmup))),
  cosine: (step, warmup, total) => {
    if (step < warmup) return step / Math.max(1, warmup);
    const progress = (step - warmup) / Math.max(1, total - warmup);
    return Math.max(0, 0.5 * (1 + Math.cos(Math.PI * 0.5 * 2 * progress)));
  },
  constant: (step, warmup) => (step < warmup ? step / Math.max(1, warmup) : 1),
};

describe("a schedule", () => {
  for (const name of ["linear", "cosine", "constant"] as const) {
    test.each([
      [10, 0],
      [10, 3],
      [7, 7],
      [1, 0],
      [1, 1],
      [100, 13],
    ])(`${name} is that of transformers over %i updates with %i of warm-up`, (steps, warmupSteps) => {
      for (let step = 1; step <= steps; step++) {
        const expected = TRANSFORMERS[name](step - 1, warmupSteps, steps);
        // 1 − p against (T − s)/(T − w): a rounding of 2⁻⁵² each way.
        expect(scheduleFactor({ name, steps, warmupSteps }, step)).toBeCloseTo(expected, 14);
      }
    });
  }

  test("gives the numbers that are known by hand", () => {
    const factors = (name: ScheduleName) => [1, 2, 3, 4, 5, 6].map((step) => scheduleFactor({ name, steps: 6, warmupSteps: 2 }, step));
    expect(factors("linear")).toEqual([0, 0.5, 1, 0.75, 0.5, 0.25]);
    expect(factors("constant")).toEqual([0, 0.5, 1, 1, 1, 1]);
    expect(factors("cosine")[3]).toBeCloseTo(0.5 + Math.SQRT1_2 / 2, 14);
    expect(factors("cosine")[4]).toBeCloseTo(0.5, 14);
  });

  test("never gives the last update a rate of 0 unless it is still warming up", () => {
    for (const name of ["linear", "cosine", "constant"] as const)
      for (let steps = 1; steps <= 12; steps++) expect(scheduleFactor({ name, steps, warmupSteps: 0 }, steps)).toBeGreaterThan(0);
  });
});

describe("the warm-up", () => {
  test("is as long as given, or a share of the run rounded up as transformers does", () => {
    expect(warmupLength(100, { warmupSteps: 7, warmupRatio: null })).toBe(7);
    expect(warmupLength(101, { warmupSteps: null, warmupRatio: 0.03 })).toBe(4);
    expect(warmupLength(100, { warmupSteps: null, warmupRatio: null })).toBe(0);
    expect(warmupLength(100, { warmupSteps: 0, warmupRatio: null })).toBe(0);
  });
});
