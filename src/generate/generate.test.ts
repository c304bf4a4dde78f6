import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runJob } from "../core/node/index.ts";
import { tinyBatch } from "../engine/fixtures/tiny-engine.ts";
import { TINY_IDS, TINY_VOCAB, withValues } from "../engine/fixtures/tiny-model.ts";
import { failure, TinyWorkshop } from "../train/fixtures/tiny-run.ts";
import { evaluate } from "../train/index.ts";
import { generateJob } from "./generate-worker.ts";
import { completeGreedily, endTokens, promptIds } from "./greedy.ts";
import { type LoadedModel, loadModel } from "./index.ts";

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

describe("greedy completion", () => {
  test("takes the argmax of a full forward pass each time, whatever the padding", async () => {
    for (const start of [[1, 70], Array.from({ length: 31 }, (_, i) => 40 + i)]) {
      const { ids, stop } = await completeGreedily(loaded.model, start, { maxTokens: 4, endIds: [] });
      const expected = [...start];
      for (let i = 0; i < 4; i++) expected.push(await nextByFullForward(expected));
      expect([...start, ...ids]).toEqual(expected);
      expect(stop).toBe("length");
    }
  });

  test("stops at an end token, which is not returned", async () => {
    const free = await completeGreedily(loaded.model, [1, 70], { maxTokens: 4, endIds: [] });
    const end = free.ids[2] as number;
    const before = free.ids.indexOf(end);
    expect(await completeGreedily(loaded.model, [1, 70], { maxTokens: 4, endIds: [end] })).toEqual({
      ids: free.ids.slice(0, before),
      stop: "end",
    });
    expect(endTokens(loaded.model, loaded.tokenizer)).toEqual([TINY_IDS.eos]);
  });

  test("stops where the model's positions end, when it is asked to, and at once for no tokens", async () => {
    const ids = Array.from({ length: 127 }, () => 50);
    expect((await completeGreedily(loaded.model, ids, { maxTokens: 9, endIds: [] })).ids).toHaveLength(1);
    const stopped = completeGreedily(loaded.model, [1], { maxTokens: 9, endIds: [], stopRequested: () => true });
    expect(await failure(stopped)).toMatchObject({ code: "INTERRUPTED" });
    expect(await failure(completeGreedily(loaded.model, [...ids, 50], { maxTokens: 1, endIds: [] }))).toMatchObject({
      code: "DATA_ROW_TOO_LONG",
    });
    expect(await completeGreedily(loaded.model, [1], { maxTokens: 0, endIds: [] })).toEqual({ ids: [], stop: "length" });
  });

  test("begins with what the tokenizer puts before a text, and refuses to begin with nothing", async () => {
    expect(promptIds(loaded.tokenizer, "A")).toEqual([1, 68]);
    expect(promptIds(loaded.tokenizer, "")).toEqual([1]);
    expect(await failure(completeGreedily(loaded.model, [], { maxTokens: 1, endIds: [] }))).toMatchObject({ code: "DATA_EMPTY" });
  });
});

describe("a trained adapter", () => {
  test("gives in a worker what the run measured, on the quantized base of its record", async () => {
    const { result } = await workshop.train({ training: { steps: 2 } });
    const { evaluations } = await evaluate({ path: result.run });
    // The same weights on the same batches, but the runtime's default threads sum in another order.
    expect(evaluations[0]?.loss).toBeCloseTo(result.evaluations[0]?.after as number, 5);
    const request = { path: join(result.run, "checkpoint-2"), prompts: ["amber 0:", ""], maxTokens: 3, chat: false };
    const told = await runJob(generateJob, request, { inline: true });
    expect(told.completions.map(({ prompt }) => prompt)).toEqual(["amber 0:", ""]);
    expect(told.completions.every(({ tokens }) => tokens <= 3)).toBe(true);
  });

  test("cannot chat without a template", async () => {
    const request = { path: workshop.base, prompts: ["a"], maxTokens: 1, chat: true };
    expect(await failure(runJob(generateJob, request, { inline: true }))).toMatchObject({ code: "CHAT_TEMPLATE_INVALID" });
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
  expect(await failure(completeGreedily(model, [1, 70], { maxTokens: 1, endIds: [] }))).toMatchObject({ code: "LOSS_NOT_FINITE" });
  await model.dispose();
});
