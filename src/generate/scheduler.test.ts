import { expect, test } from "vitest";
import { HeirloomError } from "../core/index.ts";
import { openEngine, tinyExamples } from "../engine/fixtures/tiny-engine.ts";
import { kvCacheBytes } from "../engine/index.ts";
import type { CompletionTask } from "./completion.ts";
import { mostSlots } from "./most-slots.ts";
import { Scheduler } from "./scheduler.ts";

test("slots that one model no longer uses do not count on top of another's: a burst on each, one after the other", async () => {
  const { model } = await openEngine();
  const other = model.withAdapter({ parameters: [], lora: new Map() });
  const scheduler = new Scheduler({ slots: 8, contextLength: 128 });
  const promptIds = Array.from(tinyExamples([6], 3)[0]?.inputIds ?? []);
  let most = 0;
  const run = (on: typeof model, maxTokens: number): Promise<void> => {
    const task: CompletionTask = { promptIds, maxTokens, endIds: [], sampling: { temperature: 0 }, text: null };
    const look = (): void => {
      most = Math.max(most, scheduler.cacheBytes);
    };
    return new Promise((resolve, reject) => {
      scheduler.submit(on, task, {
        onProgress: look,
        onDone: () => {
          look();
          resolve();
        },
        onFailure: reject,
      });
    });
  };
  const long = run(model, 60);
  await Promise.all(Array.from({ length: 7 }, () => run(model, 4)));
  await Promise.all(Array.from({ length: 7 }, (_, i) => run(other, 4 + i)));
  await long;
  expect(most).toBeGreaterThan(0);
  expect(most).toBeLessThanOrEqual(kvCacheBytes(model.spec, mostSlots(8, 2), 128));
  await model.dispose();
});

test("a task that was ended hears nothing more, also where all others are stopped in the same moment", async () => {
  const { model } = await openEngine();
  const promptIds = Array.from(tinyExamples([6], 3)[0]?.inputIds ?? []);
  let stopped = false;
  const scheduler = new Scheduler({ slots: 2, contextLength: 128, stopRequested: () => stopped });
  const heard: string[] = [];
  const submit = (name: string): (() => void) => {
    const task: CompletionTask = { promptIds, maxTokens: 50, endIds: [], sampling: { temperature: 0 }, text: null };
    return scheduler.submit(model, task, {
      onDone: () => heard.push(`${name} is done`),
      onFailure: (error) => heard.push(`${name}: ${error instanceof HeirloomError ? error.code : String(error)}`),
    });
  };
  const cancel = submit("ended");
  submit("stopped");
  while (scheduler.cacheBytes === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  cancel();
  stopped = true;
  await scheduler.idle();
  expect(heard).toEqual(["stopped: INTERRUPTED"]);
  await model.dispose();
});
