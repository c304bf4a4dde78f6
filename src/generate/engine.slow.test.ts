import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { TINY_IDS, withValues } from "../engine/fixtures/tiny-model.ts";
import { failure, TinyWorkshop } from "../train/fixtures/tiny-run.ts";
import type { CompletionEvent, CompletionRequest, GenerationEngine, GenerationEngineOptions } from "./api.ts";
import { generate, openGenerationEngine } from "./index.ts";
import { modelName } from "./load-model.ts";
import { mostSlots } from "./most-slots.ts";

let workshop: TinyWorkshop;
let runs: string[];
let engine: GenerationEngine;
beforeAll(async () => {
  workshop = await TinyWorkshop.open();
  runs = [];
  for (const seed of [1, 2]) runs.push((await workshop.train({ training: { steps: 2, seed, learningRate: 0.05 } })).result.run);
  engine = await openGenerationEngine({ sources: runs.map((path, i) => ({ path, id: `run${i}` })), slots: 3, inline: true });
});
afterAll(async () => {
  await engine.close();
  workshop.close();
});

const baseId = (): string => modelName(workshop.base);

function request(text: string, changes: Partial<CompletionRequest> = {}): CompletionRequest {
  return { model: "run0", prompt: { text }, maxTokens: 6, stop: [], sampling: { temperature: 0 }, ...changes };
}

async function complete(asked: CompletionRequest, signal?: AbortSignal, from = engine): Promise<CompletionEvent[]> {
  const events: CompletionEvent[] = [];
  for await (const event of from.complete(asked, signal)) events.push(event);
  return events;
}

const textOf = (events: readonly CompletionEvent[]): string => events.map((event) => (event.type === "text" ? event.text : "")).join("");

describe("a generation engine", () => {
  test("knows its base and its adapters, and what their keys and values take", () => {
    expect(engine.models.map(({ id, kind }) => [id, kind])).toEqual([
      [baseId(), "base"],
      ["run0", "adapter"],
      ["run1", "adapter"],
    ]);
    // 2 layers, 2 key heads of 8, fp32, 128 positions, 4 slots (3 of three models: 2 + 1, or 4 of one).
    expect(engine.cacheBytes).toBe(2 * 4 * 2 * 2 * 8 * 128 * mostSlots(3, 3));
  });

  test("tells a start, the text with its tokens, and an end", async () => {
    const events = await complete(request("amber 0:", { topLogprobs: 2 }));
    expect(events[0]).toEqual({ type: "start", promptTokens: 9 });
    const done = events.at(-1);
    expect(done).toMatchObject({ type: "done", promptTokens: 9 });
    const tokens = events.flatMap((event) => (event.type === "text" ? event.tokens : []));
    expect(done).toMatchObject({ completionTokens: tokens.length });
    for (const { id, logprob, top } of tokens) {
      expect(logprob).toBeLessThanOrEqual(0);
      expect(top).toHaveLength(2);
      expect(top?.[0]).toMatchObject({ id, logprob }); // greedy: the likeliest is the one that was taken
    }
  });

  test("gives each of many requests of several models what it gives alone, in fewer slots than requests", async () => {
    const models = [baseId(), "run0", "run1"];
    const asked = Array.from({ length: 9 }, (_, i) =>
      request(`amber ${"x".repeat(i * 5)}`, { model: models[i % 3] as string, maxTokens: 4 + i }),
    );
    const together = await Promise.all(asked.map((each) => complete(each)));
    for (const [i, each] of asked.entries()) {
      const alone = await complete(each);
      expect(textOf(together[i] ?? [])).toBe(textOf(alone));
      expect(together[i]?.at(-1)).toEqual(alone.at(-1));
    }
    expect(new Set(together.map((events) => textOf(events).slice(0, 4))).size).toBeGreaterThan(1);
  });

  test("draws the same for the same seed, whoever runs beside it", async () => {
    const drawn = request("birch", { sampling: { temperature: 1.5, topP: 0.95, seed: 5 }, maxTokens: 12 });
    const [alone] = await Promise.all([complete(drawn)]);
    const [beside] = await Promise.all([complete(drawn), complete(request("amber")), complete(request("a", { model: "run1" }))]);
    expect(textOf(beside)).toBe(textOf(alone));
  });

  test("ends at a stop text, and says so", async () => {
    const free = textOf(await complete(request("amber 0:", { maxTokens: 10 })));
    const stop = free.slice(3, 5);
    const events = await complete(request("amber 0:", { maxTokens: 10, stop: [stop] }));
    expect(textOf(events)).toBe(free.slice(0, free.indexOf(stop)));
    expect(events.at(-1)).toMatchObject({ stop: "stop" });
  });

  test("describes tokens where log-probabilities are asked for, and else only counts them", async () => {
    for (const topLogprobs of [undefined, 0, 3]) {
      const events = await complete(request("amber 0:", topLogprobs === undefined ? {} : { topLogprobs }));
      const texts = events.filter((event) => event.type === "text");
      const made = (events.at(-1) as Extract<CompletionEvent, { type: "done" }>).completionTokens;
      expect(texts.reduce((sum, { tokenCount }) => sum + tokenCount, 0)).toBe(made);
      const tokens = texts.flatMap((event) => event.tokens);
      expect(tokens.map(({ top }) => top.length)).toEqual(topLogprobs === undefined ? [] : Array(made).fill(topLogprobs));
    }
  });

  test("completes up to the end of the context if no limit is given", async () => {
    // The end token's logit is the mean of two others: never the largest.
    const endless = await workshop.model("endless", {
      change: (name, tensor) => {
        const width = tensor.shape[1] ?? 0;
        const values = tensor.values.slice();
        for (let i = 0; i < width; i++)
          values[TINY_IDS.eos * width + i] = ((values[70 * width + i] as number) + (values[80 * width + i] as number)) / 2;
        return name === "lm_head.weight" ? withValues(tensor, values) : tensor;
      },
    });
    const other = await openGenerationEngine({ sources: [{ path: endless, id: "endless" }], slots: 1, inline: true });
    const events = await complete(request("x".repeat(100), { model: "endless", maxTokens: null }), undefined, other);
    expect(events.at(-1)).toEqual({ type: "done", stop: "length", promptTokens: 101, completionTokens: 27 });
    await other.close();
  });

  test.each<[string, Partial<CompletionRequest>]>([
    ["MODEL_UNKNOWN", { model: "run9" }],
    ["PROMPT_TOO_LONG", { prompt: { text: "x".repeat(200) } }],
    ["SAMPLING_INVALID", { sampling: { temperature: -1 } }],
    ["SAMPLING_INVALID", { topLogprobs: 21 }],
    ["CHAT_TEMPLATE_INVALID", { prompt: { messages: [{ role: "user", content: "a" }] } }],
  ])("refuses with %s what cannot be done: %j", async (code, changes) => {
    // Before a start: whoever is answered over HTTP gets a status instead of a stream that breaks.
    const events: CompletionEvent[] = [];
    const refused = (async () => {
      for await (const event of engine.complete(request("amber", changes))) events.push(event);
    })();
    expect(await failure(refused)).toMatchObject({ code });
    expect(events).toEqual([]);
  });

  test("frees the slot of a request that is aborted or left, at once", async () => {
    const one = await openGenerationEngine({ sources: [{ path: runs[0] as string, id: "run0" }], slots: 1, inline: true });
    const ask = (asked: CompletionRequest, signal?: AbortSignal) => complete(asked, signal, one);
    const slow = request("a", { maxTokens: null, sampling: { temperature: 2, seed: 3 } });
    const controllers = Array.from({ length: 3 }, () => new AbortController());
    const aborted = controllers.map((controller) => failure(ask(slow, controller.signal)));
    const waiting = ask(request("amber"));
    for (const controller of controllers) controller.abort();
    for (const error of await Promise.all(aborted)) expect(error).toMatchObject({ code: "INTERRUPTED" });
    expect((await waiting).at(-1)).toMatchObject({ type: "done" });
    let ends = 0;
    for await (const event of one.complete(slow)) {
      if (event.type === "done") ends++;
      if (event.type === "text") break;
    }
    expect(ends).toBe(0); // it was left while it had the only slot
    expect((await ask(request("amber"))).at(-1)).toMatchObject({ type: "done" });
    expect(await failure(ask(slow, AbortSignal.abort()))).toMatchObject({ code: "INTERRUPTED" });
    await one.close();
  });
});

describe("an engine in a thread of its own", () => {
  test("completes as one on this thread does; closing it ends what is under way", async () => {
    const other = await openGenerationEngine({ sources: [{ path: runs[0] as string, id: "run0" }], slots: 1 });
    expect(textOf(await complete(request("amber 0:"), undefined, other))).toBe(textOf(await complete(request("amber 0:"))));
    const stopped = failure(complete(request("a", { maxTokens: null, sampling: { temperature: 2 } }), undefined, other));
    await other.close();
    expect(await stopped).toMatchObject({ code: "INTERRUPTED" });
    expect(await failure(complete(request("a"), undefined, other))).toMatchObject({ code: "INTERRUPTED" });
  });

  test("that cannot be opened says why", async () => {
    expect(await failure(openGenerationEngine({ sources: [{ path: `${workshop.base}-none` }] }))).toMatchObject({ code: "FILE_MISSING" });
  });
});

describe("opening", () => {
  const open = (options: object) => failure(openGenerationEngine({ sources: [{ path: runs[0] as string }], inline: true, ...options }));

  test("refuses what does not fit, before anything is computed", async () => {
    expect(await open({ contextLength: 128, memoryLimit: 20_000 })).toMatchObject({ code: "CACHE_TOO_LARGE" });
    expect(await open({ contextLength: 129 })).toMatchObject({ code: "CONFIG_INVALID" });
    for (const slots of [0, 513]) expect(await open({ slots })).toMatchObject({ code: "CONFIG_INVALID" });
    expect(
      await open({
        sources: [
          { path: runs[0], id: "a" },
          { path: runs[1], id: "a" },
        ],
      }),
    ).toMatchObject({ code: "CONFIG_INVALID" });
    expect(await open({ sources: [{ path: workshop.base }, { path: workshop.base }] })).toMatchObject({ code: "BASE_MISMATCH" });
  });
});

test("two models of one name are refused before the base's weights are read", async () => {
  const damaged = await workshop.model("damaged", {
    change: (name, tensor) =>
      name === "model.norm.weight"
        ? withValues(
            tensor,
            tensor.values.map(() => Number.NaN),
          )
        : tensor,
  });
  const error = (sources: GenerationEngineOptions["sources"]) =>
    failure(openGenerationEngine({ sources: [{ path: damaged, id: "a" }, ...sources], inline: true }));
  const [first, second] = runs as [string, string];
  expect(await error([{ path: first, id: "b" }])).not.toMatchObject({ code: "CONFIG_INVALID" });
  expect(await error([{ path: first, id: "a" }])).toMatchObject({ code: "CONFIG_INVALID" });
  expect(await error([first, second].map((path) => ({ path, id: "b" })))).toMatchObject({ code: "CONFIG_INVALID" });
});

describe("generate", () => {
  test("completes each prompt with each adapter, and tells the text as it comes", async () => {
    const heard = new Map<number, string>();
    const result = await generate(
      { path: runs[0] as string, adapters: [runs[1] as string], prompts: ["amber", { text: "birch" }], maxTokens: 5 },
      { onText: (index, text) => void heard.set(index, (heard.get(index) ?? "") + text) },
    );
    expect(result.completions.map(({ model, prompt }) => [model, prompt])).toEqual(
      ["amber", { text: "birch" }].flatMap((prompt) => result.models.map((model) => [model, prompt])),
    );
    for (const [i, { text }] of result.completions.entries()) expect(heard.get(i) ?? "").toBe(text);
  });

  test("takes names for models that are called alike", async () => {
    const [path, same] = [runs[0] as string, join(runs[0] as string, "adapter")]; // one folder by two paths: one name
    const asked = { prompts: ["amber"], maxTokens: 2 };
    const error = await failure(generate({ ...asked, path, adapters: [same] }));
    expect(error).toMatchObject({ code: "CONFIG_INVALID", problems: [{ hint: "give them names: NAME=PATH" }] });
    const named = await generate({ ...asked, path, id: "one", adapters: [{ id: "two", path: same }] });
    expect(named.models).toEqual(["one", "two"]);
    expect(named.completions.map(({ model }) => model)).toEqual(["one", "two"]);
    expect((await generate({ ...asked, path, adapters: [{ id: "two", path: same }] })).models).toEqual([modelName(path), "two"]);
  });
});

test("slots of several caches are the worst division of them", () => {
  expect([1, 2, 3, 5, 8].map((slots) => mostSlots(slots, 1))).toEqual([1, 2, 4, 8, 8]);
  expect([1, 2, 3, 8].map((slots) => mostSlots(slots, 2))).toEqual([1, 2, 4, 12]);
});
