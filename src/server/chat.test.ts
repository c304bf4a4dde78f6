import type OpenAI from "openai";
import { afterEach, describe, expect, test } from "vitest";
import { openScene, type Scene, type SceneOptions } from "./fixtures/scene.ts";

let scene: Scene;
afterEach(() => scene.close());

async function open(options?: SceneOptions): Promise<OpenAI> {
  scene = await openScene(options);
  return scene.client;
}

const messages = [{ role: "user" as const, content: "Hi" }];
const ask = { model: "poet", messages };

describe("a chat completion", () => {
  test("is answered in OpenAI's form, with its usage", async () => {
    const client = await open();
    const answer = await client.chat.completions.create(ask);
    expect(answer).toEqual({
      id: expect.stringMatching(/^chatcmpl-[0-9a-f]{32}$/),
      object: "chat.completion",
      created: expect.any(Number),
      model: "poet",
      choices: [{ index: 0, message: { role: "assistant", content: "Hello", refusal: null }, logprobs: null, finish_reason: "stop" }],
      usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 },
    });
  });

  test("reaches the engine with OpenAI's defaults, and with what was asked for", async () => {
    const client = await open();
    await client.chat.completions.create(ask);
    await client.chat.completions.create({
      ...ask,
      max_completion_tokens: 9,
      stop: ["a", "b"],
      temperature: 0.5,
      top_p: 0.9,
      seed: 7,
      frequency_penalty: 0.1,
      presence_penalty: -0.2,
      user: "somebody",
      ...({ min_p: 0.05, top_k: 40, repetition_penalty: 1.1 } as object),
    });
    expect(scene.engine.requests).toEqual([
      { model: "poet", prompt: { messages }, maxTokens: null, stop: [], sampling: { temperature: 1 } },
      {
        model: "poet",
        prompt: { messages },
        maxTokens: 9,
        stop: ["a", "b"],
        sampling: {
          temperature: 0.5,
          topP: 0.9,
          topK: 40,
          minP: 0.05,
          seed: 7,
          repetitionPenalty: 1.1,
          presencePenalty: -0.2,
          frequencyPenalty: 0.1,
        },
      },
    ]);
  });

  test("says what ended it, and takes a single stop text", async () => {
    const client = await open({ script: (_, at) => ({ stop: at === 0 ? "length" : "stop" }) });
    expect((await client.chat.completions.create(ask)).choices[0]?.finish_reason).toBe("length");
    expect((await client.chat.completions.create({ ...ask, stop: "\n" })).choices[0]?.finish_reason).toBe("stop");
    expect(scene.engine.requests[1]?.stop).toEqual(["\n"]);
  });

  test("has n choices, each drawn by a seed of its own, and counts the prompt once", async () => {
    const client = await open({ script: (_, at) => ({ texts: [`choice ${at}`] }) });
    const answer = await client.chat.completions.create({ ...ask, n: 3, seed: 5 });
    expect(answer.choices.map(({ index, message }) => [index, message.content])).toEqual([
      [0, "choice 0"],
      [1, "choice 1"],
      [2, "choice 2"],
    ]);
    expect(answer.usage).toEqual({ prompt_tokens: 3, completion_tokens: 3, total_tokens: 6 });
    expect(scene.engine.requests.map(({ sampling }) => sampling.seed)).toEqual([5, 6, 7]);
    await client.chat.completions.create({ ...ask, n: 3, seed: Number.MAX_SAFE_INTEGER - 1 });
    const last = scene.engine.requests.slice(3).map(({ sampling }) => sampling.seed);
    expect(last).toEqual([Number.MAX_SAFE_INTEGER - 1, Number.MAX_SAFE_INTEGER, 0]);
  });

  test("tells log-probabilities with the bytes of each token, where they are known", async () => {
    const client = await open({ script: { texts: ["é", "\ufffd"] } });
    const answer = await client.chat.completions.create({ ...ask, logprobs: true, top_logprobs: 1 });
    expect(answer.choices[0]?.logprobs).toEqual({
      content: [
        { token: "é", logprob: -0.25, bytes: [0xc3, 0xa9], top_logprobs: [{ token: "t0", logprob: -0.5, bytes: [116, 48] }] },
        { token: "\ufffd", logprob: -0.5, bytes: null, top_logprobs: [{ token: "t0", logprob: -0.5, bytes: [116, 48] }] },
      ],
      refusal: null,
    });
    await client.chat.completions.create({ ...ask, logprobs: true });
    expect(scene.engine.requests.map(({ topLogprobs }) => topLogprobs)).toEqual([1, 0]);
  });
});

describe("messages and tools", () => {
  const tools = [{ type: "function" as const, function: { name: "weather", parameters: { type: "object", properties: {} } } }];

  test("reach the template: all roles, parts as one text, arguments as objects, further fields as they are", async () => {
    const client = await open();
    await client.chat.completions.create({
      model: "base",
      tools,
      messages: [
        {
          role: "system",
          content: [
            { type: "text", text: "Be " },
            { type: "text", text: "brief." },
          ],
        },
        { role: "developer", content: "In verse." },
        { role: "user", content: "Rain?", name: "Ann" },
        {
          role: "assistant",
          content: null,
          refusal: null,
          tool_calls: [{ id: "1", type: "function", function: { name: "weather", arguments: '{"city":"Ulm"}' } }],
        },
        { role: "tool", tool_call_id: "1", content: "no" },
      ],
    });
    expect(scene.engine.requests[0]?.prompt).toEqual({
      tools,
      messages: [
        { role: "system", content: "Be brief." },
        { role: "developer", content: "In verse." },
        { role: "user", content: "Rain?", name: "Ann" },
        {
          role: "assistant",
          content: "",
          tool_calls: [{ id: "1", type: "function", function: { name: "weather", arguments: { city: "Ulm" } } }],
        },
        { role: "tool", tool_call_id: "1", content: "no" },
      ],
    });
  });

  test("without a choice of tools, the template is not told of any", async () => {
    const client = await open();
    await client.chat.completions.create({ ...ask, tools, tool_choice: "none" });
    expect(scene.engine.requests[0]?.prompt).toEqual({ messages });
  });
});

describe("a streamed chat completion", () => {
  test("is a role, texts and an end, as OpenAI's client puts together", async () => {
    const client = await open();
    const chunks: OpenAI.ChatCompletionChunk[] = [];
    for await (const chunk of await client.chat.completions.create({ ...ask, stream: true })) chunks.push(chunk);
    expect(chunks.map(({ choices }) => choices)).toEqual([
      [{ index: 0, delta: { role: "assistant", content: "", refusal: null }, logprobs: null, finish_reason: null }],
      [{ index: 0, delta: { content: "Hel" }, logprobs: null, finish_reason: null }],
      [{ index: 0, delta: { content: "lo" }, logprobs: null, finish_reason: null }],
      [{ index: 0, delta: {}, logprobs: null, finish_reason: "stop" }],
    ]);
    expect(new Set(chunks.map(({ id, object, created, model }) => JSON.stringify([id, object, created, model])))).toHaveProperty("size", 1);
    expect(chunks[0]).not.toHaveProperty("usage");
    const final = await client.chat.completions.stream(ask).finalChatCompletion();
    expect(final.choices[0]?.message.content).toBe("Hello");
  });

  test("ends with its usage if that is asked for, and with [DONE]", async () => {
    await open();
    const response = await scene.post("/v1/chat/completions", { ...ask, stream: true, stream_options: { include_usage: true } });
    expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
    const events = (await response.text()).split("\n\n");
    expect(events.splice(-2)).toEqual(["data: [DONE]", ""]);
    const chunks = events.map((event) => JSON.parse(event.replace(/^data: /, "")) as OpenAI.ChatCompletionChunk);
    expect(chunks.pop()).toMatchObject({ choices: [], usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 } });
    expect(chunks.map(({ usage }) => usage)).toEqual([null, null, null, null]);
  });

  test("streams n choices side by side, with log-probabilities of every token", async () => {
    const client = await open({ script: (_, at) => ({ texts: at === 0 ? ["a", ""] : ["b"], wait: 1 }) });
    const texts = ["", ""];
    const tokens = [0, 0];
    for await (const { choices } of await client.chat.completions.create({ ...ask, n: 2, stream: true, logprobs: true })) {
      for (const { index, delta, logprobs } of choices) {
        texts[index] += delta.content ?? "";
        tokens[index] = (tokens[index] ?? 0) + (logprobs?.content?.length ?? 0);
      }
    }
    expect({ texts, tokens }).toEqual({ texts: ["a", "b"], tokens: [2, 1] });
  });
});
