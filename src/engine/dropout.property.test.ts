import fc from "fast-check";
import { expect, test } from "vitest";
import { fillDropoutMask } from "./dropout.ts";

const seed = 20261124;
const position = fc.record({ seed: fc.nat(0xffffffff), update: fc.nat(100_000), microStep: fc.nat(64) });
const COUNT = 40_000;
const mask = (rate: number, at: { seed: number; update: number; microStep: number }, name = "q_proj", length = COUNT): Uint8Array => {
  const values = new Uint8Array(length);
  fillDropoutMask(values, rate, at, name);
  return values;
};
const kept = (values: Uint8Array): number => values.reduce((sum, value) => sum + value, 0) / values.length;

test("a mask keeps the share it should, evenly and without a pattern between neighbours", () => {
  fc.assert(
    fc.property(position, fc.double({ min: 0.05, max: 0.9, noNaN: true }), (at, rate) => {
      const values = mask(rate, at);
      // Six standard deviations of a share of 40,000 draws: one miss in a billion.
      const bound = 6 * Math.sqrt((rate * (1 - rate)) / COUNT);
      expect(Math.abs(kept(values) - (1 - rate))).toBeLessThan(bound);
      const both = values.reduce((sum, value, i) => sum + value * (values[i + 1] ?? 0), 0) / (COUNT - 1);
      expect(Math.abs(both - (1 - rate) ** 2)).toBeLessThan(2 * bound);
      for (const parity of [0, 1]) expect(Math.abs(kept(values.filter((_, i) => i % 2 === parity)) - (1 - rate))).toBeLessThan(1.5 * bound);
    }),
    { seed, numRuns: 60 },
  );
});

test("a mask depends on seed, update, micro-step and layer, and on nothing else", () => {
  fc.assert(
    fc.property(position, fc.integer({ min: 1, max: 300 }), (at, length) => {
      const whole = mask(0.5, at);
      // As bytes: comparing element by element would take most of the test's time.
      expect(Buffer.compare(mask(0.5, at), whole)).toBe(0);
      expect(Buffer.compare(mask(0.5, at, "q_proj", length), whole.subarray(0, length))).toBe(0);
      const others = [
        { ...at, seed: at.seed ^ 1 },
        { ...at, update: at.update + 1 },
        { ...at, microStep: at.microStep + 1 },
      ].map((other) => mask(0.5, other));
      for (const other of [...others, mask(0.5, at, "k_proj")]) {
        const equal = whole.filter((value, i) => value === other[i]).length / COUNT;
        expect(Math.abs(equal - 0.5)).toBeLessThan(6 * Math.sqrt(0.25 / COUNT));
      }
    }),
    { seed, numRuns: 20 },
  );
});

test("a rate of 0 keeps everything", () => {
  expect(kept(mask(0, { seed: 1, update: 2, microStep: 3 }))).toBe(1);
});
