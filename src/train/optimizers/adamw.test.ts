import { describe, expect, test } from "vitest";
import { RandomStream } from "../../core/index.ts";
import { bareParameter } from "../fixtures/parameter.ts";
import { AdamW } from "./adamw.ts";

/** Kingma & Ba 2015, algorithm 1, with the decay of Loshchilov & Hutter 2019, one scalar in double precision. */
class ScalarAdamW {
  w: number;
  m = 0;
  v = 0;
  t = 0;
  constructor(w: number) {
    this.w = w;
  }
  step(
    g: number,
    { rate, decay, beta1, beta2, epsilon }: { rate: number; decay: number; beta1: number; beta2: number; epsilon: number },
  ): void {
    this.t++;
    this.w -= rate * decay * this.w;
    this.m = beta1 * this.m + (1 - beta1) * g;
    this.v = beta2 * this.v + (1 - beta2) * g * g;
    const mHat = this.m / (1 - beta1 ** this.t);
    const vHat = this.v / (1 - beta2 ** this.t);
    this.w -= (rate * mHat) / (Math.sqrt(vHat) + epsilon);
  }
}

const BETAS = [0.9, 0.99] as const;
const EPSILON = 1e-6;

describe("AdamW", () => {
  test("follows a double-precision reference over 50 updates, with decay and changing rates", () => {
    const random = new RandomStream(5, "adamw");
    const start = Array.from({ length: 64 }, () => Math.fround(random.nextNormal()));
    const parameter = bareParameter(start);
    const optimizer = new AdamW([{ parameter, group: "g", weightDecay: 0.1 }], { betas: BETAS, epsilon: EPSILON });
    const scalars = start.map((w) => new ScalarAdamW(w));
    for (let step = 1; step <= 50; step++) {
      const rate = 0.01 / step;
      for (const [i, scalar] of scalars.entries()) {
        const gradient = Math.fround(random.nextNormal() * 10 ** ((i % 9) - 6));
        parameter.gradient[i] = gradient;
        scalar.step(gradient * 0.5, { rate, decay: 0.1, beta1: BETAS[0], beta2: BETAS[1], epsilon: EPSILON });
      }
      optimizer.update(new Map([["g", rate]]), 0.5);
    }
    // fp32 storage of w, m and v: half an ulp each per update, 50 updates.
    for (const [i, scalar] of scalars.entries())
      expect(Math.abs((parameter.values[i] as number) - scalar.w)).toBeLessThan(2e-6 * Math.max(1, Math.abs(scalar.w)));
  });

  test("moves by the rate in its first update, against the gradient's sign, whatever its size", () => {
    const parameter = bareParameter([0, 0, 0]);
    parameter.gradient.set([1e-3, -1000, 0]);
    new AdamW([{ parameter, group: "g", weightDecay: 0 }], { betas: [0.9, 0.999], epsilon: 1e-12 }).update(new Map([["g", 0.01]]), 1);
    expect(parameter.values[0]).toBeCloseTo(-0.01, 7);
    expect(parameter.values[1]).toBeCloseTo(0.01, 7);
    expect(parameter.values[2]).toBe(0);
  });

  test("decays by each tensor's own factor, and moves each at its group's rate", () => {
    const plain = bareParameter([1], { name: "plain" });
    const decayed = bareParameter([1], { name: "decayed" });
    const still = bareParameter([1], { name: "still" });
    for (const { gradient } of [plain, still]) gradient[0] = 1;
    const slots = [
      { parameter: plain, group: "fast", weightDecay: 0 },
      { parameter: decayed, group: "fast", weightDecay: 0.5 },
      { parameter: still, group: "slow", weightDecay: 0.5 },
    ];
    new AdamW(slots, { betas: [0.9, 0.999], epsilon: 1e-8 }).update(
      new Map([
        ["fast", 0.1],
        ["slow", 0],
      ]),
      1,
    );
    expect(plain.values[0]).toBeCloseTo(0.9, 6);
    expect(decayed.values[0]).toBeCloseTo(0.95, 6);
    expect(still.values[0]).toBe(1);
  });
});
