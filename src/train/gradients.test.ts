import { describe, expect, test } from "vitest";
import { bareParameter } from "./fixtures/parameter.ts";
import { clipFactor, globalNorm } from "./gradients.ts";

describe("clipping", () => {
  test("measures the norm of all gradients together", () => {
    const parameters = [bareParameter([0, 0], { gradient: Float32Array.of(3, 0) }), bareParameter([0], { gradient: Float32Array.of(-4) })];
    expect(globalNorm(parameters)).toBe(5);
  });

  test("brings a norm above the limit down to it and leaves one below alone, as torch's clip_grad_norm_ does", () => {
    expect(clipFactor(4, 1)).toBe(1 / (4 + 1e-6));
    expect(clipFactor(0.5, 1)).toBe(1);
    expect(clipFactor(0, 1)).toBe(1);
    expect(clipFactor(1e9, null)).toBe(1);
  });

  test("does not lose a NaN or an infinity anywhere in a gradient", () => {
    expect(globalNorm([bareParameter([0], { gradient: Float32Array.of(Number.NaN) })])).toBeNaN();
    expect(globalNorm([bareParameter([0], { gradient: Float32Array.of(Number.NEGATIVE_INFINITY) })])).toBe(Number.POSITIVE_INFINITY);
  });

  test("does not overflow for gradients whose squares exceed fp32", () => {
    expect(globalNorm([bareParameter([0], { gradient: Float32Array.of(1e30) })])).toBeCloseTo(1e30, -24);
  });
});
