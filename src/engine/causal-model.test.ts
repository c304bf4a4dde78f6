import { describe, expect, test } from "vitest";
import {
  gradientDifference,
  gradientOf,
  lossAndGradients,
  openEngine,
  tinyAdapter,
  tinyBatch,
  tinyBatches,
  tinyExamples,
} from "./fixtures/tiny-engine.ts";
import { takeOverValues } from "./grow-adapter.ts";
import type { CausalModel, Parameter } from "./index.ts";

const COPIES = { modulesToSave: ["embed_tokens", "lm_head"] };
const LENGTHS = [5, 12, 9, 20, 3, 15];
// fp32 sums over up to 64 rows in another order: a few of 2⁻²⁴ each, through two blocks.
const SAME = 1e-4;

describe("packed rows", () => {
  test("have the losses and gradients of the same rows on their own", async () => {
    const engine = await openEngine({ adapter: COPIES });
    const examples = tinyExamples(LENGTHS);
    const packed = tinyBatches(examples, { packing: true, batchSize: 2, maxLength: 40 });
    const single = tinyBatches(examples, { packing: false, batchSize: 1, maxLength: 24 });
    expect(packed.some(({ examples: rows }) => rows.some((row) => row.length > 1))).toBe(true);
    const [a, b] = [await lossAndGradients(engine, packed), await lossAndGradients(engine, single)];
    expect(a.loss).toBeCloseTo(b.loss, 5);
    expect(gradientDifference(a.gradients, b.gradients)).toBeLessThan(SAME);
    expect(await lossSum(engine.model, packed)).toBeCloseTo(await lossSum(engine.model, single), 3);
    await engine.model.dispose();
  });

  test("do not see their neighbours: another row beside one changes nothing about it", async () => {
    const { model } = await openEngine();
    const [first, second, other] = [tinyExamples([10], 1), tinyExamples([8], 2), tinyExamples([8], 5)];
    const logits = async (rows: ReturnType<typeof tinyExamples>) =>
      (await firstLogits(model, tinyBatches(rows, { packing: true, batchSize: 1, maxLength: 24, sequence: 24 }))).slice(0, 10 * 264);
    expect(await logits([...first, ...second])).toEqual(await logits([...first, ...other]));
    await model.dispose();
  });
});

async function firstLogits(model: CausalModel, [batch]: ReturnType<typeof tinyBatches>): Promise<Float32Array> {
  return batch === undefined ? new Float32Array(0) : model.logits(batch);
}

async function lossSum(model: CausalModel, batches: ReturnType<typeof tinyBatches>): Promise<number> {
  let total = 0;
  for (const batch of batches) total += (await model.evaluate(batch)).lossSum;
  return total;
}

describe("padding", () => {
  test("changes no loss and no gradient, whatever its length and whatever token fills it", async () => {
    const engine = await openEngine({ adapter: COPIES });
    const examples = tinyExamples([7, 11]);
    const options = { packing: false, batchSize: 2, maxLength: 16 };
    const short = await lossAndGradients(engine, tinyBatches(examples, { ...options, sequence: 16 }));
    const long = tinyBatches(examples, { ...options, sequence: 48 });
    for (const { inputIds, segments } of long)
      segments.forEach((segment, t) => {
        if (segment === 0) inputIds[t] = 200;
      });
    const padded = await lossAndGradients(engine, long);
    expect(padded.loss).toBeCloseTo(short.loss, 5);
    expect(gradientDifference(short.gradients, padded.gradients)).toBeLessThan(SAME);
    await engine.model.dispose();
  });
});

describe("recomputed activations", () => {
  test.each([0, 0.3])("give the bits of kept ones, at a dropout of %d", async (dropout) => {
    const batches = tinyBatches(tinyExamples(LENGTHS), { packing: true, batchSize: 2, maxLength: 40 });
    const [kept, again] = [
      await openEngine({ adapter: { ...COPIES, dropout } }),
      await openEngine({ adapter: { ...COPIES, dropout }, parts: { activations: "recompute" } }),
    ];
    const [a, b] = [await lossAndGradients(kept, batches), await lossAndGradients(again, batches)];
    expect(b.loss).toBe(a.loss);
    // The same operations on the same numbers, but the runtime may fuse them differently in one graph than in two.
    expect(gradientDifference(a.gradients, b.gradients)).toBeLessThan(1e-5);
    await kept.model.dispose();
    await again.model.dispose();
  });
});

describe("dropout", () => {
  test("is part of training, equal for equal positions, another for every update and micro-step, and absent from evaluation", async () => {
    const { model } = await openEngine({ adapter: { dropout: 0.3 } });
    const plain = await openEngine();
    const batch = tinyBatch(tinyExamples([20, 20]), 20);
    const loss = (update: number, microStep: number, seed = 1) => {
      model.beginUpdate();
      return model.accumulate(batch, 1, { seed, update, microStep });
    };
    const first = await loss(0, 0);
    expect(await loss(0, 0)).toBe(first);
    expect(new Set([first, await loss(1, 0), await loss(0, 1), await loss(0, 0, 2)]).size).toBe(4);
    expect(await model.evaluate(batch)).toEqual(await plain.model.evaluate(batch));
    await model.dispose();
    await plain.model.dispose();
  });
});

describe("an NF4 base", () => {
  test.each([true, false])(
    "gives the same bits whether its dequantized weights are cached or not (double quantization: %s)",
    async (doubleQuant) => {
      const quantization = { type: "nf4" as const, doubleQuant };
      const cached = await openEngine({ base: { quantization, cache: "on" } });
      const packed = await openEngine({ base: { quantization, cache: "off" } });
      const dense = await openEngine();
      const batches = tinyBatches(tinyExamples(LENGTHS), { packing: true, batchSize: 2, maxLength: 40 });
      const [a, b, c] = [
        await lossAndGradients(cached, batches),
        await lossAndGradients(packed, batches),
        await lossAndGradients(dense, batches),
      ];
      expect(b).toEqual(a);
      expect(a.loss).not.toBe(c.loss);
      expect(packed.model.weights.base.bytes).toBeLessThan(0.6 * cached.model.weights.base.bytes);
      for (const { model } of [cached, packed, dense]) await model.dispose();
    },
  );
});

describe("a tied model", () => {
  const names = (parameters: readonly Parameter[]): string[] =>
    parameters.filter(({ role }) => role === "full_copy").map(({ module }) => module);

  test("trains one tensor with both gradients if tying is ensured, two if it is not", async () => {
    const batches = tinyBatches(tinyExamples([12, 9]), { packing: false, batchSize: 2, maxLength: 12 });
    const one = await openEngine({ model: { tied: true }, adapter: { ...COPIES, ensureWeightTying: true } });
    const two = await openEngine({ model: { tied: true }, adapter: COPIES });
    expect(names(one.parameters)).toEqual(["model.embed_tokens"]);
    expect(names(two.parameters)).toEqual(["model.embed_tokens", "lm_head"]);
    const [a, b] = [await lossAndGradients(one, batches), await lossAndGradients(two, batches)];
    expect(a.loss).toBe(b.loss);
    const [shared, embedding, head] = [
      gradientOf(a.gradients, "embed_tokens"),
      gradientOf(b.gradients, "embed_tokens"),
      gradientOf(b.gradients, "lm_head."),
    ];
    const summed = Float32Array.from(embedding, (value, i) => value + (head[i] as number));
    expect(gradientDifference(new Map([["shared", summed]]), new Map([["shared", shared]]))).toBeLessThan(SAME);
    await one.model.dispose();
    await two.model.dispose();
  });
});

describe("a grown adapter", () => {
  test("has the logits of the smaller one to 1e-6, and not the same new rows of A everywhere", async () => {
    const small = await openEngine({ adapter: COPIES });
    const grown = await openEngine({ adapter: { ...tinyAdapter({ rank: 12, alpha: 24, initLoraWeights: true }), ...COPIES } });
    takeOverValues(small.parameters, grown.parameters);
    const batch = tinyBatch(tinyExamples([20, 14]), 20);
    const [a, b] = [await small.model.logits(batch), await grown.model.logits(batch)];
    const difference = a.reduce((worst, value, i) => Math.max(worst, Math.abs(value - (b[i] as number))), 0);
    // The added terms are exact zeros.
    expect(difference).toBeLessThan(1e-6);
    const added = grown.parameters.filter(({ role }) => role === "lora_A").map(({ values, shape }) => values[4 * (shape[1] as number)]);
    expect(new Set(added).size).toBe(added.length);
    await small.model.dispose();
    await grown.model.dispose();
  });

  test("cannot shrink, lose a tensor, or change the shape of a full copy; each is named", async () => {
    const large = await openEngine({ adapter: COPIES });
    const small = await openEngine({ adapter: { rank: 2, targetModules: ["q_proj"] } });
    expect(() => takeOverValues(large.parameters, small.parameters)).toThrow(
      expect.objectContaining({ code: "CONTINUE_CHANGE_INVALID", problems: expect.objectContaining({ length: 30 }) }),
    );
    await large.model.dispose();
    await small.model.dispose();
  });
});

describe("a model", () => {
  test("refuses a token id that its embedding has no row for", async () => {
    const { model } = await openEngine();
    const batch = tinyBatch(tinyExamples([6]), 6);
    batch.inputIds[2] = 264;
    await expect(model.logits(batch)).rejects.toMatchObject({ code: "TOKENIZER_TOO_LARGE" });
    await model.dispose();
  });

  test("holds no more memory after an update of shapes that it has seen", async () => {
    const engine = await openEngine({ adapter: COPIES });
    const batches = tinyBatches(tinyExamples(LENGTHS), { packing: true, batchSize: 1, maxLength: 40 });
    await lossAndGradients(engine, batches);
    const held = engine.model.workspace.heldBytes;
    await lossAndGradients(engine, [...batches, ...batches]);
    for (const batch of batches) await engine.model.evaluate(batch);
    expect(engine.model.workspace.heldBytes).toBe(held);
    await engine.model.dispose();
  });

  test("has no gradient for the padding token, though it is read as text", async () => {
    const engine = await openEngine({ model: { config: { pad_token_id: 50 } }, adapter: COPIES });
    const batch = tinyBatch(tinyExamples([10]), 10);
    batch.inputIds[1] = 50;
    const { gradients } = await lossAndGradients(engine, [batch]);
    const embedding = gradientOf(gradients, "embed_tokens");
    expect(embedding.subarray(50 * 32, 51 * 32).every((value) => value === 0)).toBe(true);
    const seen = (batch.inputIds[2] as number) * 32;
    expect(embedding.subarray(seen, seen + 32).some((value) => value !== 0)).toBe(true);
    await engine.model.dispose();
  });
});
