import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bf16ToF32, f32ToBf16 } from "../codecs/index.ts";
import type { MicroBatch } from "../data/index.ts";
import { gradientDifference } from "../engine/fixtures/tiny-engine.ts";
import { denseGradient, type Parameter, readValues, writeValues } from "../engine/index.ts";
import { type LiveSession, openSession } from "./fixtures/live-session.ts";
import { failure, TinyWorkshop } from "./fixtures/tiny-run.ts";

let workshop: TinyWorkshop;
beforeAll(async () => {
  workshop = await TinyWorkshop.open();
});
afterAll(() => workshop.close());

const open = (values: Readonly<Record<string, unknown>>): Promise<LiveSession> => openSession(workshop.configure(values).config);
const UNPACKED = { data: { packing: false, maxLength: 32 } };
const parameter = ({ session }: LiveSession, part: string): Parameter =>
  session.model.weights.parameters.find(({ name }) => name.includes(part)) as Parameter;

/** Two micro-batches with clearly different numbers of labels. */
function unequalBatches({ source }: LiveSession): [MicroBatch, MicroBatch] {
  const all = Array.from({ length: 6 }, () => source.next()).sort((a, b) => a.labelTokenCount - b.labelTokenCount);
  return [all[0] as MicroBatch, all.at(-1) as MicroBatch];
}

describe("accumulation", () => {
  test("by token is the mean over all label tokens of the update, by micro the mean of the micro-batches' means", async () => {
    for (const lossNormalization of ["token", "micro"] as const) {
      const scene = await open({ ...UNPACKED, training: { batchSize: 1, lossNormalization } });
      const batches = unequalBatches(scene);
      const { model } = scene.session;
      const [a, b] = [await model.evaluate(batches[0]), await model.evaluate(batches[1])];
      expect(a.labelTokens).not.toBe(b.labelTokens);
      const expected =
        lossNormalization === "token"
          ? (a.lossSum + b.lossSum) / (a.labelTokens + b.labelTokens)
          : (a.lossSum / a.labelTokens + b.lossSum / b.labelTokens) / 2;
      const outcome = await scene.session.update(batches, 1);
      // The training graph computes the same losses in fp32; the sum is taken in another order.
      expect(outcome.loss).toBeCloseTo(expected, 5);
      expect(outcome.tokens).toBe(batches[0].tokenCount + batches[1].tokenCount);
    }
  });

  test("by token has the gradients of one batch that holds all rows", async () => {
    const one = await open({ ...UNPACKED, training: { batchSize: 2 } });
    const two = await open({ ...UNPACKED, training: { batchSize: 1 } });
    const whole = one.source.next();
    const rows = [0, 1].map((row): MicroBatch => {
      const cut = (values: Int32Array): Int32Array => values.slice(row * whole.sequence, (row + 1) * whole.sequence);
      const labels = cut(whole.labels);
      const labelTokenCount = labels.filter((label) => label !== -100).length;
      return {
        ...whole,
        batch: 1,
        inputIds: cut(whole.inputIds),
        labels,
        positions: cut(whole.positions),
        segments: cut(whole.segments),
        labelTokenCount,
      };
    });
    const [a, b] = [await one.session.update([whole], 1), await two.session.update(rows, 1)];
    expect(b.gradNorm).toBeCloseTo(a.gradNorm, 4);
    const gradients = ({ session }: LiveSession) =>
      new Map(session.model.weights.parameters.map(({ name, gradient, values }) => [name, denseGradient(gradient, values.length)]));
    // fp32 sums over some 60 rows in another order. (A has no gradient while B is zero: 0 / 0.)
    const some = new Map([...gradients(one)].filter(([, values]) => values.some((value) => value !== 0)));
    const same = new Map([...gradients(two)].filter(([name]) => some.has(name)));
    expect(some.size).toBe(16);
    expect(gradientDifference(some, same)).toBeLessThan(1e-5);
  });
});

describe("clipping", () => {
  test("scales all gradients together to the limit before the optimizer sees them", async () => {
    const scene = await open({ training: { maxGradNorm: 0.01, betas: [0.5, 0.999] } });
    const { gradNorm } = await scene.session.update([scene.source.next()], 1);
    expect(gradNorm).toBeGreaterThan(0.01);
    let sum = 0;
    for (const { state } of scene.session.optimizer.slots) for (const m of state["exp_avg"] ?? []) sum += (m / 0.5) ** 2;
    // torch adds 1e-6 to the norm.
    expect(Math.sqrt(sum)).toBeCloseTo((0.01 * gradNorm) / (gradNorm + 1e-6), 6);
  });
});

describe("bf16 masters", () => {
  const LR = 1e-5;
  const copies = { adapter: { fullCopyDtype: "bf16" }, training: { learningRate: LR, groups: [], weightDecay: 0 } };
  const isBf16 = (values: Float32Array): boolean => bf16ToF32(f32ToBf16(values)).every((value, i) => Object.is(value, values[i]));

  test("are bf16 numbers from the start and after every update", async () => {
    const scene = await open(copies);
    const head = parameter(scene, "lm_head");
    expect(head.values).toBeInstanceOf(Uint16Array);
    const before = readValues(head).slice();
    await scene.session.update([scene.source.next()], 1);
    expect(readValues(head)).not.toEqual(before);
    expect(isBf16(readValues(parameter(scene, "lora_A")))).toBe(false);
  });

  test("move on average as fp32 ones at a rate at which rounding to nearest would never move them", async () => {
    const scene = await open(copies);
    const exact = await open({ ...copies, adapter: { fullCopyDtype: "fp32" } });
    const head = parameter(scene, "lm_head");
    const before = readValues(head);
    const reference = parameter(exact, "lm_head");
    writeValues(reference, before);
    const updates = 12;
    for (let step = 1; step <= updates; step++) {
      await scene.session.update([scene.source.next()], step);
      await exact.session.update([exact.source.next()], step);
    }
    // Weights so large that half a bf16 step (2⁻⁹ of them) is ten times the rate.
    const large = [...before.keys()].filter((i) => Math.abs(before[i] as number) > 10 * LR * 2 ** 9);
    const nearest = bf16ToF32(f32ToBf16(before.map((value) => value + LR)));
    expect(large.length).toBeGreaterThan(6000);
    expect(large.every((i) => nearest[i] === before[i])).toBe(true);
    const [rounded, unrounded] = [readValues(head), readValues(reference)];
    const drift = (values: Float32Array): number =>
      large.reduce(
        (sum, i) => sum + ((values[i] as number) - (before[i] as number)) * Math.sign((unrounded[i] as number) - (before[i] as number)),
        0,
      );
    expect(large.filter((i) => rounded[i] !== before[i]).length).toBeGreaterThan(100);
    // Each weight's rounding is unbiased; over thousands of them the mean is within a fifth.
    expect(drift(rounded) / drift(unrounded)).toBeGreaterThan(0.8);
    expect(drift(rounded) / drift(unrounded)).toBeLessThan(1.2);
  });
});

describe("a loss that becomes NaN", () => {
  test("stops the update before anything is changed, and names the first tensor whose gradient is bad", async () => {
    const scene = await open({});
    const { session, source } = scene;
    await session.update([source.next()], 1);
    const [values, moments] = [
      parameter(scene, "lm_head").values.slice(),
      session.optimizer.slots.map(({ state }) => state["exp_avg"]?.slice()),
    ];
    const [norm] = session.model.weights.base.memory("model.norm.weight");
    (norm as Float32Array)[3] = Number.NaN;
    const error = await failure(session.update([source.next()], 2));
    expect(error).toMatchObject({ code: "LOSS_NOT_FINITE", exitCode: 30, details: { step: 2 } });
    expect(error.details["tensor"]).toContain("base_model.model.");
    expect(parameter(scene, "lm_head").values).toEqual(values);
    expect(session.optimizer.step).toBe(1);
    expect(session.optimizer.slots.map(({ state }) => state["exp_avg"])).toEqual(moments);
  });
});
