import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bf16ToF32, f32ToBf16Stochastic } from "./index.ts";

const key = (step: number, stream = "lm_head.weight", seed = 7) => ({ seed, stream, step });
const round = (values: Float32Array, step = 0, first = 0): Uint16Array =>
  f32ToBf16Stochastic(values, new Uint16Array(values.length), key(step), first);

/** Share of elements rounded away from zero, for `count` copies of a value `part` of the way from 1 to its bf16 neighbour. */
function shareUp(part: number, count: number, step: number): number {
  const value = 1 + part / 128;
  return round(new Float32Array(count).fill(value), step).reduce((sum, unit) => sum + (unit === 0x3f80 ? 0 : 1), 0) / count;
}

describe("stochastic rounding to bf16", () => {
  it("gives one of the two neighbours, and keeps what bf16 holds", () => {
    fc.assert(
      fc.property(fc.float({ noNaN: true, noDefaultInfinity: true }), fc.nat(1000), (value, step) => {
        const exact = Math.fround(value);
        const got = bf16ToF32(round(Float32Array.of(exact), step))[0] as number;
        const low = bf16ToF32(Uint16Array.of((new Uint32Array(Float32Array.of(exact).buffer)[0] as number) >>> 16))[0] as number;
        const unit = ((new Uint32Array(Float32Array.of(exact).buffer)[0] as number) >>> 16) + 1;
        const high = bf16ToF32(Uint16Array.of(unit))[0] as number;
        expect(Number.isFinite(got)).toBe(true);
        expect([low, high]).toContain(got);
        if (low === exact) expect(got).toBe(exact);
      }),
      { numRuns: 2000 },
    );
  });

  it("is unbiased: the share rounded up is the distance from below", () => {
    const count = 200_000;
    for (const part of [1 / 65536, 0.01, 0.1, 0.25, 0.5, 0.9, 0.999]) {
      const expected = Math.round(part * 65536) / 65536;
      // Five standard deviations of a binomial share: a false alarm once in a million.
      const tolerance = 5 * Math.sqrt((expected * (1 - expected)) / count);
      for (const step of [0, 1, 1000]) expect(Math.abs(shareUp(part, count, step) - expected)).toBeLessThan(tolerance);
    }
  });

  it("moves a weight by updates far below half a step, on average exactly", () => {
    const weights = new Uint16Array(20_000).fill(0x3f80);
    const update = 1 / 128 / 50;
    for (let step = 0; step < 100; step++) {
      const values = bf16ToF32(weights).map((weight) => weight + update);
      f32ToBf16Stochastic(values, weights, key(step));
    }
    const mean = bf16ToF32(weights).reduce((sum, weight) => sum + weight, 0) / weights.length;
    // 100 updates of 1/50 step each; each has a variance below 1/4 step, over 20,000 weights.
    expect(Math.abs(mean - 1 - 100 * update)).toBeLessThan((5 * Math.sqrt(100 * 0.25)) / 128 / Math.sqrt(20_000));
  });

  it("draws without correlation between neighbours, steps and tensors", () => {
    const count = 100_000;
    const values = new Float32Array(count).fill(1 + 0.5 / 128);
    const draw = (step: number, stream?: string, seed?: number) =>
      [...f32ToBf16Stochastic(values, new Uint16Array(count), key(step, stream, seed))].map((unit) => (unit === 0x3f80 ? -1 : 1));
    const base = draw(0);
    const correlation = (other: number[]) => base.reduce((sum, x, i) => sum + x * (other[i] as number), 0) / count;
    const shifted = (by: number) => [...base.slice(by), ...base.slice(0, by)];
    for (const other of [
      shifted(1),
      shifted(2),
      shifted(64),
      shifted(4096),
      draw(1),
      draw(2),
      draw(0, "embed_tokens.weight"),
      draw(0, undefined, 8),
    ]) {
      expect(Math.abs(correlation(other))).toBeLessThan(5 / Math.sqrt(count));
    }
  });

  it("depends on key and index only: chunks in any order give the same", () => {
    const values = Float32Array.from({ length: 1001 }, (_, i) => Math.sin(i));
    const whole = round(values, 3);
    for (const [start, end] of [
      [500, 1001],
      [0, 1],
      [1, 500],
    ] as const) {
      expect(round(values.subarray(start, end), 3, start)).toEqual(whole.subarray(start, end));
    }
    expect(round(values, 4)).not.toEqual(whole);
  });

  it("works in place of its index beyond 2^32, and keeps infinities, NaN and the largest values", () => {
    const values = Float32Array.of(Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN, 3.4028234e38, -3.4028234e38);
    expect([...round(values, 0, 2 ** 33 + 1)]).toEqual([0x7f80, 0xff80, 0x7fc0, 0x7f7f, 0xff7f]);
  });

  it("rounds each value alike in a whole tensor and by itself, whatever its bits", () => {
    const awkward = [0, 0x80000000, 0x7f800000, 0xff800000, 0x7f7fffff, 0xff7fffff, 0x7f800001, 0xffc00001, 1, 0x807fffff];
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.integer({ min: 0, max: 0xffffffff }), fc.constantFrom(...awkward)), { minLength: 1, maxLength: 70 }),
        fc.nat(1000),
        (words, first) => {
          const values = new Float32Array(Uint32Array.from(words).buffer);
          const whole = round(values, 3, first);
          for (let i = 0; i < values.length; i++) expect(round(values.subarray(i, i + 1), 3, first + i)[0]).toBe(whole[i]);
        },
      ),
    );
  });
});
