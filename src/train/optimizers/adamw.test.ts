import { describe, expect, test } from "vitest";
import { RandomStream } from "../../core/index.ts";
import { compiler } from "../fixtures/compile.ts";
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
/** All masters here are fp32, which are updated where they lie. */
const NOTHING_TO_STORE = (): void => undefined;

describe("AdamW", () => {
  test("follows a double-precision reference over 50 updates, with decay and changing rates", async () => {
    const random = new RandomStream(5, "adamw");
    const start = Array.from({ length: 64 }, () => Math.fround(random.nextNormal()));
    const parameter = bareParameter(start);
    const optimizer = new AdamW([{ parameter, group: "g", weightDecay: 0.1 }], { betas: BETAS, epsilon: EPSILON }, compiler());
    const scalars = start.map((w) => new ScalarAdamW(w));
    for (let step = 1; step <= 50; step++) {
      const rate = 0.01 / step;
      for (const [i, scalar] of scalars.entries()) {
        const gradient = Math.fround(random.nextNormal() * 10 ** ((i % 9) - 6));
        parameter.gradient[i] = gradient;
        scalar.step(gradient * 0.5, { rate, decay: 0.1, beta1: BETAS[0], beta2: BETAS[1], epsilon: EPSILON });
      }
      await optimizer.update(new Map([["g", rate]]), 0.5, NOTHING_TO_STORE);
    }
    // fp32 storage of w, m and v: half an ulp each per update, 50 updates.
    for (const [i, scalar] of scalars.entries())
      expect(Math.abs((parameter.values[i] as number) - scalar.w)).toBeLessThan(2e-6 * Math.max(1, Math.abs(scalar.w)));
  });

  test("moves by the rate in its first update, against the gradient's sign, whatever its size", async () => {
    const parameter = bareParameter([0, 0, 0]);
    parameter.gradient.set([1e-3, -1000, 0]);
    const settings = { betas: [0.9, 0.999], epsilon: 1e-12 } as const;
    await new AdamW([{ parameter, group: "g", weightDecay: 0 }], settings, compiler()).update(new Map([["g", 0.01]]), 1, NOTHING_TO_STORE);
    expect(parameter.values[0]).toBeCloseTo(-0.01, 7);
    expect(parameter.values[1]).toBeCloseTo(0.01, 7);
    expect(parameter.values[2]).toBe(0);
  });

  test("decays by each tensor's own factor, and moves each at its group's rate", async () => {
    const plain = bareParameter([1], { name: "plain" });
    const decayed = bareParameter([1], { name: "decayed" });
    const still = bareParameter([1], { name: "still" });
    for (const { gradient } of [plain, still]) gradient[0] = 1;
    const slots = [
      { parameter: plain, group: "fast", weightDecay: 0 },
      { parameter: decayed, group: "fast", weightDecay: 0.5 },
      { parameter: still, group: "slow", weightDecay: 0.5 },
    ];
    await new AdamW(slots, { betas: [0.9, 0.999], epsilon: 1e-8 }, compiler()).update(
      new Map([
        ["fast", 0.1],
        ["slow", 0],
      ]),
      1,
      NOTHING_TO_STORE,
    );
    expect(plain.values[0]).toBeCloseTo(0.9, 6);
    expect(decayed.values[0]).toBeCloseTo(0.95, 6);
    expect(still.values[0]).toBe(1);
  });

  test("gives every element the bits of the formula in fp32, wherever it lies in its tensor", async () => {
    const f = Math.fround;
    const random = new RandomStream(9, "adamw bits");
    // Two whole pieces and a rest that no vector register divides.
    const length = 2 ** 19 + 7;
    const parameter = bareParameter(Array.from({ length }, () => f(random.nextFloat() - 0.5)));
    const optimizer = new AdamW([{ parameter, group: "g", weightDecay: 0.1 }], { betas: BETAS, epsilon: EPSILON }, compiler());
    const [w, m, v] = [parameter.values.slice(), new Float32Array(length), new Float32Array(length)];
    for (let step = 1; step <= 2; step++) {
      for (let i = 0; i < length; i++) parameter.gradient[i] = (random.nextFloat() - 0.5) * 10 ** -(i % 7);
      const { size, decay, root } = {
        size: f(1e-3 / (1 - BETAS[0] ** step)),
        decay: f(1 - 1e-4),
        root: f(1 / Math.sqrt(1 - BETAS[1] ** step)),
      };
      for (let i = 0; i < length; i++) {
        const g = f((parameter.gradient[i] as number) * f(0.7));
        m[i] = f(f((m[i] as number) * f(BETAS[0])) + f(g * f(1 - BETAS[0])));
        v[i] = f(f((v[i] as number) * f(BETAS[1])) + f(f(g * g) * f(1 - BETAS[1])));
        const divisor = f(f(f(Math.sqrt(v[i] as number)) * root) + f(EPSILON));
        w[i] = f(f((w[i] as number) * decay) - f(f((m[i] as number) * size) / divisor));
      }
      await optimizer.update(new Map([["g", 1e-3]]), 0.7, NOTHING_TO_STORE);
    }
    const state = optimizer.slots[0]?.state;
    for (const [own, formula] of [
      [parameter.values, w],
      [state?.exp_avg, m],
      [state?.exp_avg_sq, v],
    ] as const)
      expect(Buffer.from(own?.buffer ?? new ArrayBuffer(0)).equals(Buffer.from(formula.buffer))).toBe(true);
  });

  test("lets timers and signals have their turn while it works", async () => {
    const parameter = bareParameter(new Array<number>(2 ** 21).fill(1));
    const optimizer = new AdamW([{ parameter, group: "g", weightDecay: 0 }], { betas: BETAS, epsilon: EPSILON }, compiler());
    await optimizer.update(new Map([["g", 1e-3]]), 1, NOTHING_TO_STORE);
    let turns = 0;
    const timer = setInterval(() => turns++, 0);
    await optimizer.update(new Map([["g", 1e-3]]), 1, NOTHING_TO_STORE);
    clearInterval(timer);
    expect(turns).toBeGreaterThan(1);
  });
});
