import type { Worker } from "node:worker_threads";
import { afterAll, beforeAll, expect, test } from "vitest";
import { HeirloomError } from "../core/index.ts";
import { CausalModel } from "../engine/index.ts";
import { failure, TinyWorkshop } from "../train/fixtures/tiny-run.ts";
import { type GenerationEngine, openGenerationEngine } from "./index.ts";

let workshop: TinyWorkshop;
beforeAll(async () => {
  workshop = await TinyWorkshop.open();
});
afterAll(() => workshop.close());

const endless = { model: "m", prompt: { text: "a" }, maxTokens: 100, stop: [], sampling: { temperature: 2 } };

async function complete(engine: GenerationEngine): Promise<void> {
  for await (const _ of engine.complete(endless));
}

/** An engine with the thread that it computes on. */
async function openWithThread(): Promise<{ engine: GenerationEngine; thread: Worker }> {
  let thread: Worker | undefined;
  const notice = (worker: Worker): void => {
    thread = worker;
  };
  process.on("worker", notice);
  try {
    const engine = await openGenerationEngine({ sources: [{ path: workshop.base, id: "m" }] });
    return { engine, thread: thread as Worker };
  } finally {
    process.off("worker", notice);
  }
}

test("an engine whose thread dies says so: to who waits for an answer, to who asks, and to who only listens", async () => {
  const { engine, thread } = await openWithThread();
  const under = failure(complete(engine));
  await thread.terminate();
  const error = await engine.ended;
  expect(error).toMatchObject({ code: "INTERNAL", message: expect.stringContaining("ended with exit code 1") });
  expect(await under).toBe(error);
  expect(await failure(complete(engine))).toBe(error);
  await engine.close();
  expect(await engine.ended).toBe(error);
});

test("an engine that is closed has ended, too, by the will of its owner", async () => {
  const { engine } = await openWithThread();
  await engine.close();
  expect(await engine.ended).toMatchObject({ code: "INTERRUPTED" });
});

test("closing tells what could not be freed where no thread ends with it, and closes where one does", async () => {
  const { dispose } = CausalModel.prototype;
  CausalModel.prototype.dispose = () => Promise.reject(new HeirloomError("COMPUTE_FAILED", "a graph stays"));
  try {
    const engine = await openGenerationEngine({ sources: [{ path: workshop.base, id: "m" }], inline: true });
    expect(await failure(engine.close())).toMatchObject({ code: "COMPUTE_FAILED", message: expect.stringContaining("a graph stays") });
    expect(await engine.ended).toMatchObject({ code: "INTERRUPTED" });
  } finally {
    CausalModel.prototype.dispose = dispose;
  }
});
