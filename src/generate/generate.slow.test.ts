import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { tinyBatch } from "../engine/fixtures/tiny-engine.ts";
import { TINY_IDS, TINY_VOCAB, withValues } from "../engine/fixtures/tiny-model.ts";
import { failure, TinyWorkshop } from "../train/fixtures/tiny-run.ts";
import { evaluate } from "../train/index.ts";
import { completeGreedily } from "./greedy.ts";
import { generate, type LoadedModel, loadModel } from "./index.ts";
import { endTokens, promptIds } from "./prompt.ts";

let workshop: TinyWorkshop;
let loaded: LoadedModel;
beforeAll(async () => {
  workshop = await TinyWorkshop.open();
  loaded = await loadModel(workshop.base);
});
afterAll(async () => {
  await loaded.model.dispose();
  workshop.close();
});

/** The most likely next token, from the logits of every position of an unpadded full forward pass. */
async function nextByFullForward(ids: readonly number[]): Promise<number> {
  const inputIds = Int32Array.from(ids);
  const batch = tinyBatch([{ inputIds, labels: inputIds, row: 1, source: "test" }], ids.length);
  const logits = await loaded.model.logits(batch);
  const last = logits.subarray((ids.length - 1) * TINY_VOCAB, ids.length * TINY_VOCAB);
  return last.indexOf(Math.max(...last));
}

type Limits = Parameters<typeof completeGreedily>[2];

async function completeOne(start: readonly number[], limits: Limits) {
  const [outcome] = await completeGreedily(loaded.model, [start], limits);
  return outcome as NonNullable<typeof outcome>;
}

describe("greedy completion", () => {
  test("takes the argmax of a full forward pass each time, whatever the padding", async () => {
    for (const start of [[1, 70], Array.from({ length: 31 }, (_, i) => 40 + i)]) {
      const { ids, stop } = await completeOne(start, { maxTokens: 4, endIds: [] });
      const expected = [...start];
      for (let i = 0; i < 4; i++) expected.push(await nextByFullForward(expected));
      expect([...start, ...ids]).toEqual(expected);
      expect(stop).toBe("length");
    }
  });

  test("stops at an end token, which is not returned", async () => {
    const free = await completeOne([1, 70], { maxTokens: 4, endIds: [] });
    const end = free.ids[2] as number;
    const before = free.ids.indexOf(end);
    expect(await completeOne([1, 70], { maxTokens: 4, endIds: [end] })).toEqual({
      ids: free.ids.slice(0, before),
      stop: "end",
    });
    expect(endTokens(loaded.model.spec, loaded.tokenizer)).toEqual([TINY_IDS.eos]);
  });

  test("stops where the model's positions end, when it is asked to, and at once for no tokens", async () => {
    const ids = Array.from({ length: 127 }, () => 50);
    expect((await completeOne(ids, { maxTokens: 9, endIds: [] })).ids).toHaveLength(1);
    const stopped = completeOne([1], { maxTokens: 9, endIds: [], stopRequested: () => true });
    expect(await failure(stopped)).toMatchObject({ code: "INTERRUPTED" });
    expect(await failure(completeOne([...ids, 50], { maxTokens: 1, endIds: [] }))).toMatchObject({
      code: "PROMPT_TOO_LONG",
    });
    expect(await completeOne([1], { maxTokens: 0, endIds: [] })).toEqual({ ids: [], stop: "length" });
  });

  test("begins with what the tokenizer puts before a text, and refuses to begin with nothing", async () => {
    expect(promptIds(loaded.tokenizer, "A")).toEqual([1, 68]);
    expect(promptIds(loaded.tokenizer, "")).toEqual([1]);
    expect(await failure(completeOne([], { maxTokens: 1, endIds: [] }))).toMatchObject({ code: "DATA_EMPTY" });
  });
});

describe("a trained adapter", () => {
  test("gives in a worker what the run measured, on the quantized base of its record", async () => {
    const { result } = await workshop.train({ training: { steps: 2 } });
    const { evaluations } = await evaluate({ path: result.run });
    // The same weights on the same batches, but the runtime's default threads sum in another order.
    expect(evaluations[0]?.loss).toBeCloseTo(result.evaluations[0]?.after as number, 5);
    const prompts = [{ text: "amber 0:" }, { text: "" }];
    const told = await generate({ path: join(result.run, "checkpoint-2"), prompts, maxTokens: 3 });
    expect(told.completions.map(({ prompt }) => prompt)).toEqual(prompts);
    expect(told.completions.every(({ tokens }) => tokens <= 3)).toBe(true);
  });

  test("cannot chat without a template", async () => {
    const prompts = [{ messages: [{ role: "user", content: "a" }] }];
    expect(await failure(generate({ path: workshop.base, prompts, maxTokens: 1 }))).toMatchObject({ code: "CHAT_TEMPLATE_INVALID" });
  });
});

test("a model whose logits are not numbers is told instead of completed", async () => {
  const base = await workshop.model("overflowing", {
    change: (name, tensor) =>
      name === "model.norm.weight"
        ? withValues(
            tensor,
            tensor.values.map(() => 3e38),
          )
        : tensor,
  });
  const { model } = await loadModel(base);
  expect(await failure(completeGreedily(model, [[1, 70]], { maxTokens: 1, endIds: [] }))).toMatchObject({ code: "LOSS_NOT_FINITE" });
  await model.dispose();
});
