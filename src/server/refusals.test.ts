import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { HeirloomError } from "../core/index.ts";
import { openScene, type Scene } from "./fixtures/scene.ts";
import { requestLine } from "./index.ts";

const messages = [{ role: "user", content: "Hi" }];
const chat = { model: "poet", messages };
const text = { model: "base", prompt: "Hi" };

interface Refusal {
  readonly error: { readonly message: string; readonly type: string; readonly param: string | null; readonly code: string };
}

describe("a body that cannot be answered", () => {
  let scene: Scene;
  beforeAll(async () => {
    scene = await openScene();
  });
  afterAll(() => scene.close());

  async function refused(path: string, body: unknown): Promise<unknown[]> {
    const response = await scene.post(path, body);
    const { error } = (await response.json()) as Refusal;
    expect(error.type).toBe("invalid_request_error");
    return [response.status, error.code, error.param];
  }

  const UNSUPPORTED_CHAT: readonly object[] = [
    { logit_bias: { 5: 1 } },
    { response_format: { type: "json_schema", json_schema: {} } },
    { response_format: { type: "json_object" } },
    { audio: { voice: "a", format: "wav" } },
    { modalities: ["text", "audio"] },
    { tool_choice: "required" },
    { functions: [] },
    { function_call: "auto" },
    { store: true },
    { metadata: { a: "b" } },
    { reasoning_effort: "low" },
    { service_tier: "priority" },
    { parallel_tool_calls: false },
    { prediction: { type: "content", content: "" } },
    { web_search_options: {} },
  ];

  test.each(UNSUPPORTED_CHAT)("is refused by the name of what a chat does not do: %j", async (more) => {
    expect(await refused("/v1/chat/completions", { ...chat, ...more })).toEqual([400, "unsupported_parameter", Object.keys(more)[0]]);
  });

  test.each([{ echo: true }, { suffix: "x" }, { best_of: 3 }, { logit_bias: { 5: 1 } }])(
    "is refused by the name of what a completion does not do: %j",
    async (more) => {
      expect(await refused("/v1/completions", { ...text, ...more })).toEqual([400, "unsupported_parameter", Object.keys(more)[0]]);
    },
  );

  test("is answered where such a parameter asks for nothing", async () => {
    const neutral = {
      logit_bias: {},
      response_format: { type: "text" },
      modalities: ["text"],
      store: false,
      metadata: null,
      audio: null,
      tool_choice: "auto",
      parallel_tool_calls: true,
      service_tier: "auto",
      stream_options: null,
    };
    expect((await scene.post("/v1/chat/completions", { ...chat, ...neutral })).status).toBe(200);
    expect((await scene.post("/v1/completions", { ...text, n: 2, best_of: 2, echo: false, suffix: null })).status).toBe(200);
  });

  const user = (content: unknown, more: object = {}): object => ({ messages: [{ role: "user", content, ...more }] });

  test.each<[object, string, string]>([
    [user([{ type: "image_url", image_url: { url: "" } }]), "unsupported_value", "messages[0].content[0].type"],
    [user([{ type: "text", text: "a" }, { type: "input_audio" }]), "unsupported_value", "messages[0].content[1].type"],
    [{ messages: [{ role: "assistant", content: "", audio: { id: "1" } }] }, "unsupported_value", "messages[0].audio"],
    [user([{ type: "text" }]), "invalid_value", "messages[0].content[0].text"],
    [user(5), "invalid_value", "messages[0].content"],
    [user(null), "missing_required_parameter", "messages[0].content"],
    [user("a", { role: "robot" }), "invalid_value", "messages[0].role"],
    [
      user("a", { tool_calls: [{ type: "function", function: { name: "f", arguments: "{}" } }] }),
      "invalid_value",
      "messages[0].tool_calls",
    ],
    [
      { messages: [{ role: "assistant", content: null, tool_calls: [{ type: "function", function: { name: "f", arguments: "{" } }] }] },
      "invalid_value",
      "messages[0].tool_calls[0].function.arguments",
    ],
    [{ messages: [] }, "invalid_value", "messages"],
    [{ messages: undefined }, "missing_required_parameter", "messages"],
    [{ model: undefined }, "missing_required_parameter", "model"],
    [{ temperature: 3 }, "invalid_value", "temperature"],
    [{ top_p: 0 }, "invalid_value", "top_p"],
    [{ n: 0 }, "invalid_value", "n"],
    [{ n: 129 }, "invalid_value", "n"],
    [{ seed: -1 }, "invalid_value", "seed"],
    [{ stop: ["a", "b", "c", "d", "e"] }, "invalid_value", "stop"],
    [{ stop: "" }, "invalid_value", "stop"],
    [{ max_tokens: 0 }, "invalid_value", "max_tokens"],
    [{ max_tokens: 1, max_completion_tokens: 2 }, "invalid_value", "max_tokens"],
    [{ top_logprobs: 2 }, "invalid_value", "top_logprobs"],
    [{ logprobs: true, top_logprobs: 21 }, "invalid_value", "top_logprobs"],
    [{ stream_options: { include_usage: true } }, "invalid_value", "stream_options"],
    [{ stream: true, stream_options: { include_obfuscation: true } }, "invalid_value", "stream_options.include_obfuscation"],
    [{ stream: true, stream_options: { usage: true } }, "unknown_parameter", "stream_options.usage"],
    [{ tools: [{ type: "custom" }] }, "invalid_value", "tools[0].type"],
    [{ max_token: 5 }, "unknown_parameter", "max_token"],
  ])("is refused with where it is wrong: %j", async (more, code, param) => {
    expect(await refused("/v1/chat/completions", { ...chat, ...more })).toEqual([400, code, param]);
  });

  test("says what was expected, what was found, and the nearest name", async () => {
    const messageOf = async (more: object): Promise<string> =>
      ((await (await scene.post("/v1/chat/completions", { ...chat, ...more })).json()) as Refusal).error.message;
    expect(await messageOf({ temperature: "hot" })).toBe('temperature: expected a number, found "hot"');
    expect(await messageOf({ stop: 5 })).toBe("stop: expected text or a list, found 5");
    expect(await messageOf({ max_token: 5 })).toBe('unknown parameter "max_token"; did you mean max_tokens?');
    expect(await messageOf({ model: "poem" })).toBe('the model "poem" does not exist; did you mean poet?');
    expect(await messageOf(user([{ type: "image_url" }]))).toBe(
      'messages[0].content[0].type: a part of the type "image_url" is not supported by this server, which reads text only',
    );
  });

  test("is refused as a prompt of token ids, of nothing, or as too many choices", async () => {
    expect(await refused("/v1/completions", { ...text, prompt: [1, 2] })).toEqual([400, "unsupported_value", "prompt"]);
    expect(await refused("/v1/completions", { ...text, prompt: [[1], [2]] })).toEqual([400, "unsupported_value", "prompt"]);
    expect(await refused("/v1/completions", { model: "base" })).toEqual([400, "missing_required_parameter", "prompt"]);
    expect(await refused("/v1/completions", { ...text, prompt: ["a", "b"], n: 65 })).toEqual([400, "invalid_value", "n"]);
  });

  test("is refused if it is no JSON object, or for a model or an address that is not there", async () => {
    expect(await refused("/v1/completions", "{")).toEqual([400, "invalid_json", null]);
    expect(await refused("/v1/completions", "[]")).toEqual([400, "invalid_json", null]);
    expect(await refused("/v1/completions", `{"model": ${"[".repeat(50_000)}`)).toEqual([400, "invalid_json", null]);
    expect(await refused("/v1/completions", '{"model": "a", "model": "b"}')).toEqual([400, "invalid_json", null]);
    expect(await refused("/v1/completions", { ...text, model: "other" })).toEqual([404, "model_not_found", "model"]);
    expect(await refused("/v1/embeddings", {})).toEqual([404, "unknown_url", null]);
    expect(await refused("/v1/models", {})).toEqual([405, "method_not_allowed", null]);
  });
});

describe("an error of the engine", () => {
  let scene: Scene;
  afterEach(() => scene.close());
  const error = (code: ConstructorParameters<typeof HeirloomError>[0]): HeirloomError =>
    new HeirloomError(code, "in detail", { where: "/a/path" });

  test("that the client caused is told in its words, without the server's paths", async () => {
    const codes = ["CHAT_TEMPLATE_INVALID", "DATA_EMPTY", "SAMPLING_INVALID", "MODEL_UNKNOWN"] as const;
    scene = await openScene({ script: (_, at) => ({ refuse: error(codes[at] ?? "INTERNAL") }) });
    const told: unknown[] = [];
    for (const _ of codes) {
      const response = await scene.post("/v1/chat/completions", chat);
      const { error: refusal } = (await response.json()) as Refusal;
      expect(refusal.message).toBe("in detail");
      told.push([response.status, refusal.code, refusal.param]);
    }
    expect(told).toEqual([
      [400, "chat_template_invalid", "messages"],
      [400, "invalid_value", "messages"],
      [400, "invalid_value", null],
      [404, "model_not_found", null],
    ]);
    expect(scene.faults).toEqual([]);
  });

  test("that is the server's own is a 500 without its words, is told to the server, and fails /health until one goes well", async () => {
    const fault = error("COMPUTE_FAILED");
    scene = await openScene({ script: (_, at) => (at === 0 ? { fail: fault } : {}) });
    const response = await scene.post("/v1/chat/completions", chat);
    expect({ status: response.status, body: await response.json() }).toEqual({
      status: 500,
      body: {
        error: {
          message: "the server failed to answer (compute_failed); its log says more",
          type: "server_error",
          param: null,
          code: "compute_failed",
        },
      },
    });
    expect(scene.faults).toEqual([fault]);
    const health = async () => (await fetch(`${scene.url}/health`)).status;
    expect(await health()).toBe(503);
    await scene.post("/v1/chat/completions", chat);
    expect(await health()).toBe(200);
  });

  test("fails /health at once and for good where the engine has died, whatever was still answered", async () => {
    scene = await openScene();
    const health = async () => {
      const response = await fetch(`${scene.url}/health`);
      return [response.status, ((await response.json()) as { error?: string }).error];
    };
    expect(await health()).toEqual([200, undefined]);
    scene.engine.die(error("COMPUTE_FAILED"));
    expect(await health()).toEqual([503, "compute_failed"]);
    await scene.post("/v1/chat/completions", chat);
    expect(await health()).toEqual([503, "compute_failed"]);
  });

  test("in the middle of a stream is its last event, which OpenAI's client throws", async () => {
    scene = await openScene({ script: { texts: ["a"], fail: error("LOSS_NOT_FINITE") } });
    const stream = await scene.client.completions.create({ model: "base", prompt: "Hi", stream: true });
    const texts: string[] = [];
    const reading = (async () => {
      for await (const { choices } of stream) texts.push(choices[0]?.text ?? "");
    })();
    await expect(reading).rejects.toMatchObject({ code: "loss_not_finite", type: "server_error" });
    expect(texts).toEqual(["a"]);
    expect(scene.log[0]).toMatchObject({ status: 200, completionTokens: 1, error: "loss_not_finite" });
    expect(scene.faults).toHaveLength(1);
  });
});

describe("the log", () => {
  test("has a line for each request, with tokens and time, and nothing that was said", async () => {
    const scene = await openScene({ token: "sesame", script: { texts: ["private answer"] } });
    await scene.clientWith("sesame").completions.create({ model: "base", prompt: "private question" });
    await scene.post("/v1/completions?key=private", {});
    await scene.close();
    const lines = scene.log.map(requestLine).map((line) => line.replace(/\d+ ms$/, "0 ms"));
    expect(lines).toEqual([
      "POST /v1/completions 200 model=base prompt=3 completion=1 0 ms",
      "POST /v1/completions 401 error=invalid_api_key 0 ms",
    ]);
    expect(JSON.stringify(scene.log)).not.toMatch(/private|sesame/);
  });

  test("quotes a strange name and cuts a long one", () => {
    const entry = { method: "POST", path: "/", status: 404, promptTokens: null, completionTokens: null, ms: 1, error: null };
    expect(requestLine({ ...entry, model: "a b\n" })).toBe('POST / 404 model="a b\\n" 1 ms');
    expect(requestLine({ ...entry, model: "x".repeat(500) }).length).toBeLessThan(150);
  });
});
