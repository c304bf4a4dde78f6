import type OpenAI from "openai";
import { afterEach, describe, expect, test } from "vitest";
import { openScene, type Scene, type SceneOptions } from "./fixtures/scene.ts";

let scene: Scene;
afterEach(() => scene.close());

async function open(options?: SceneOptions): Promise<OpenAI> {
  scene = await openScene(options);
  return scene.client;
}

const ask = { model: "base", prompt: "Say" };

describe("a text completion", () => {
  test("is answered in OpenAI's form, sixteen tokens long if nothing else is asked for", async () => {
    const client = await open();
    expect(await client.completions.create(ask)).toEqual({
      id: expect.stringMatching(/^cmpl-[0-9a-f]{32}$/),
      object: "text_completion",
      created: expect.any(Number),
      model: "base",
      choices: [{ index: 0, text: "Hello", logprobs: null, finish_reason: "stop" }],
      usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 },
    });
    expect(scene.engine.requests[0]).toEqual({
      model: "base",
      prompt: { text: "Say" },
      maxTokens: 16,
      stop: [],
      sampling: { temperature: 1 },
    });
  });

  test("takes a list of prompts, whose choices follow one another", async () => {
    const client = await open({ script: ({ prompt }, at) => ({ texts: [`${"text" in prompt ? prompt.text : ""}${at}`] }) });
    const answer = await client.completions.create({ model: "base", prompt: ["x", "y"], n: 2 });
    expect(answer.choices.map(({ text }) => text)).toEqual(["x0", "x1", "y2", "y3"]);
    expect(answer.usage).toMatchObject({ prompt_tokens: 6, completion_tokens: 4 });
  });

  test("tells log-probabilities with offsets that count from the prompt's beginning, streamed or not", async () => {
    const client = await open();
    const expected = {
      tokens: ["Hel", "lo"],
      token_logprobs: [-0.25, -0.5],
      top_logprobs: [
        { t0: -0.5, Hel: -0.25 },
        { t0: -0.5, lo: -0.5 },
      ],
      text_offset: [3, 6],
    };
    expect((await client.completions.create({ ...ask, logprobs: 1 })).choices[0]?.logprobs).toEqual(expected);
    const offsets: number[] = [];
    for await (const { choices } of await client.completions.create({ ...ask, logprobs: 1, stream: true }))
      offsets.push(...(choices[0]?.logprobs?.text_offset ?? []));
    expect(offsets).toEqual(expected.text_offset);
  });

  test("is streamed as texts and an end", async () => {
    const client = await open({ script: { stop: "length" } });
    const choices: unknown[] = [];
    for await (const chunk of await client.completions.create({ ...ask, stream: true })) choices.push(...chunk.choices);
    expect(choices).toEqual([
      { index: 0, text: "Hel", logprobs: null, finish_reason: null },
      { index: 0, text: "lo", logprobs: null, finish_reason: null },
      { index: 0, text: "", logprobs: null, finish_reason: "length" },
    ]);
  });
});

describe("models", () => {
  test("are the base and its adapters", async () => {
    const client = await open();
    const { data } = await client.models.list();
    expect(data).toEqual([
      { id: "base", object: "model", created: expect.any(Number), owned_by: "heirloom", kind: "base", context_length: 64 },
      { id: "poet", object: "model", created: expect.any(Number), owned_by: "heirloom", kind: "adapter", context_length: 64 },
    ]);
    expect((await client.models.retrieve("poet")).id).toBe("poet");
    await expect(client.models.retrieve("poem")).rejects.toMatchObject({ status: 404, code: "model_not_found" });
  });

  test("are counted by /health, which needs no token", async () => {
    await open({ token: "secret" });
    const response = await fetch(`${scene.url}/health`);
    expect(await response.json()).toEqual({ status: "ok", models: 2, slots: 2, completions: 0 });
  });
});
