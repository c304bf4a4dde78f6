import { request } from "node:http";
import OpenAI from "openai";
import { afterEach, describe, expect, test } from "vitest";
import { HeirloomError } from "../core/index.ts";
import { eventually, openScene, type Scene, type SceneOptions } from "./fixtures/scene.ts";
import { createServer } from "./index.ts";

let scene: Scene;
afterEach(() => scene.close());

async function open(options?: SceneOptions): Promise<OpenAI> {
  scene = await openScene(options);
  return scene.client;
}

const messages = [{ role: "user" as const, content: "Hi" }];
const ask = { model: "poet", messages };
const slow: SceneOptions = { script: { wait: "forever" }, slots: 1, maxQueue: 1, drainMs: 0 };

async function refusal(promise: Promise<unknown>): Promise<unknown> {
  const error = await promise.then(
    () => new Error("it was not refused"),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof OpenAI.APIError)) throw error;
  return { status: error.status as unknown, ...(error.error as object) };
}

describe("a client that hangs up", () => {
  test("frees the slot and the room in the queue, and is logged as such", async () => {
    const client = await open(slow);
    const controller = new AbortController();
    const gone = client.chat.completions.create(ask, { signal: controller.signal });
    expect(await eventually(() => scene.engine.running() === 1)).toBe(true);
    controller.abort();
    await expect(gone).rejects.toThrow("aborted");
    expect(await eventually(() => scene.engine.running() === 0)).toBe(true);
    expect(await (await fetch(`${scene.url}/health`)).json()).toMatchObject({ completions: 0 });
    expect(scene.log[0]).toMatchObject({ status: 499, model: "poet", promptTokens: 3, error: "client_hung_up" });
    expect(scene.faults).toEqual([]);
  });

  test("frees it in the middle of a stream, too, with all of its choices", async () => {
    const client = await open({ script: { texts: Array.from({ length: 9999 }, () => "la "), wait: 1 }, drainMs: 0 });
    const stream = await client.chat.completions.create({ ...ask, n: 2, stream: true });
    for await (const { choices } of stream) if (choices[0]?.delta.content === "la ") break; // which aborts it
    expect(await eventually(() => scene.engine.running() === 0 && scene.log.length === 1)).toBe(true);
    expect(scene.log[0]).toMatchObject({ status: 200, error: "client_hung_up" });
    expect(scene.log[0]?.completionTokens).toBeGreaterThan(0);
  });

  test("does so while it waits for a slot, without touching who has it", async () => {
    const client = await open(slow);
    const first = client.chat.completions.create({ ...ask, stream: true });
    expect(await eventually(() => scene.engine.running() === 1)).toBe(true);
    const controller = new AbortController();
    const waiting = client.chat.completions.create({ ...ask, stream: true }, { signal: controller.signal });
    expect(await eventually(() => scene.engine.requests.length === 2)).toBe(true);
    controller.abort();
    await waiting.catch(() => undefined);
    expect(await eventually(() => scene.log.length === 1)).toBe(true);
    expect(scene.engine.running()).toBe(1);
    (await first).controller.abort();
    expect(await eventually(() => scene.engine.running() === 0)).toBe(true);
  });
});

test("a client that does not read its stream counts as gone after a while", async () => {
  const texts = Array.from({ length: 40 }, () => "x".repeat(1_000_000)); // more than sockets hold
  await open({ script: { texts }, stallMs: 100 });
  const asking = request(`${scene.url}/v1/chat/completions`, { method: "POST", headers: { "content-type": "application/json" } });
  asking.on("response", (response) => response.on("error", () => undefined).pause()).on("error", () => undefined);
  asking.end(JSON.stringify({ ...ask, stream: true }));
  expect(await eventually(() => scene.engine.running() === 0 && scene.log.length === 1)).toBe(true);
  expect(scene.log[0]).toMatchObject({ status: 200, error: "client_hung_up" });
});

describe("limits", () => {
  test("a full queue is 429, with a time to come back", async () => {
    const client = await open(slow);
    const inside = [1, 2].map(() => client.chat.completions.create({ ...ask, stream: true }));
    expect(await eventually(() => scene.engine.requests.length === 2)).toBe(true);
    const response = await scene.post("/v1/chat/completions", ask);
    expect(response.headers.get("retry-after")).toBe("1");
    expect({ status: response.status, body: await response.json() }).toEqual({
      status: 429,
      body: {
        error: { message: "the queue is full: 2 completions run or wait", type: "requests", param: null, code: "rate_limit_exceeded" },
      },
    });
    expect(await refusal(client.chat.completions.create({ ...ask, n: 3 }))).toMatchObject({ status: 400, param: "n" });
    for (const stream of inside) (await stream).controller.abort();
  });

  test("a body that is too large is 413, whether it says so or not", async () => {
    const client = await open({ maxBodyBytes: 300 });
    const long = { ...ask, messages: [{ role: "user" as const, content: "x".repeat(400) }] };
    expect(await refusal(client.chat.completions.create(long))).toMatchObject({ status: 413, code: "request_too_large" });
    const status = await new Promise((resolve, reject) => {
      const chunked = request(`${scene.url}/v1/chat/completions`, { method: "POST", headers: { "content-type": "application/json" } });
      chunked.on("response", (response) => resolve(response.statusCode)).on("error", reject);
      chunked.write("[");
      chunked.end(" ".repeat(400));
    });
    expect(status).toBe(413);
    expect((await client.chat.completions.create(ask)).choices).toHaveLength(1);
  });

  test("a context that is too long is 400, by the prompt alone or with the tokens that are asked for", async () => {
    const tooLong = new HeirloomError("PROMPT_TOO_LONG", "expected a prompt of fewer than 64 tokens, found 70", { where: "/secret/path" });
    const client = await open({ script: (_, at) => (at === 0 ? { refuse: tooLong } : { promptTokens: 60 }) });
    expect(await refusal(client.chat.completions.create({ ...ask, stream: true }))).toEqual({
      status: 400,
      message: "expected a prompt of fewer than 64 tokens, found 70",
      type: "invalid_request_error",
      param: "messages",
      code: "context_length_exceeded",
    });
    expect(await refusal(client.completions.create({ model: "base", prompt: "x", max_tokens: 5 }))).toEqual({
      status: 400,
      message: "this model's context is 64 tokens, and 65 were asked for: 60 in prompt, 5 as max_tokens",
      type: "invalid_request_error",
      param: "max_tokens",
      code: "context_length_exceeded",
    });
    expect(await eventually(() => scene.engine.running() === 0)).toBe(true);
    expect((await client.completions.create({ model: "base", prompt: "x" })).choices).toHaveLength(1);
  });
});

describe("who may ask", () => {
  test("with a token only those who send it", async () => {
    await open({ token: "sesame" });
    for (const token of ["sesam", "sesame2", "Sesame"]) {
      const error = await refusal(scene.clientWith(token).models.list());
      expect(error).toMatchObject({ status: 401, code: "invalid_api_key", type: "invalid_request_error" });
    }
    const bare = await scene.post("/v1/chat/completions", ask);
    expect([bare.status, bare.headers.get("www-authenticate")]).toEqual([401, "Bearer"]);
    expect((await scene.clientWith("sesame").models.list()).data).toHaveLength(2);
    expect(JSON.stringify(scene.log)).not.toContain("sesam");
  });

  test("without one, no web page: neither by a name of its own for this machine, nor as plain text, nor by CORS", async () => {
    await open();
    const status = await new Promise((resolve, reject) => {
      request(`${scene.url}/v1/models`, { headers: { host: "rebound.example" } })
        .on("response", (response) => resolve(response.statusCode))
        .on("error", reject)
        .end();
    });
    expect(status).toBe(403);
    expect((await scene.post("/v1/chat/completions", ask, { "content-type": "text/plain" })).status).toBe(415);
    const preflight = await fetch(`${scene.url}/v1/models`, { method: "OPTIONS", headers: { origin: "https://a.example" } });
    expect([preflight.status, preflight.headers.get("access-control-allow-origin")]).toEqual([405, null]);
  });

  test("a web page of an origin that is named, also where it is refused", async () => {
    await open({ corsOrigins: ["https://a.example"], token: "sesame" });
    const headers = { "access-control-request-headers": "authorization", "access-control-request-method": "POST" };
    const preflight = async (origin: string) =>
      (await fetch(`${scene.url}/v1/chat/completions`, { method: "OPTIONS", headers: { ...headers, origin } })).headers;
    expect((await preflight("https://a.example")).get("access-control-allow-origin")).toBe("https://a.example");
    expect((await preflight("https://a.example")).get("access-control-allow-headers")).toBe("authorization");
    expect((await preflight("https://b.example")).get("access-control-allow-origin")).toBeNull();
    const refused = await scene.post("/v1/chat/completions", ask, { origin: "https://a.example" });
    expect([refused.status, refused.headers.get("access-control-allow-origin")]).toEqual([401, "https://a.example"]);
  });

  test("an address that others reach needs a token; impossible settings are refused before anything is opened", async () => {
    await open();
    const { engine } = scene;
    const codeOf = (options: object): unknown => {
      try {
        createServer({ engine, ...options });
        return null;
      } catch (error) {
        return (error as HeirloomError).code;
      }
    };
    expect(["0.0.0.0", "::", "192.168.1.2", "127.0.0.1.example"].map((host) => codeOf({ host }))).toEqual(Array(4).fill("SERVER_EXPOSED"));
    expect(["127.0.0.1", "127.1.2.3", "localhost", "::1"].map((host) => codeOf({ host }))).toEqual(Array(4).fill(null));
    expect(codeOf({ host: "0.0.0.0", token: "sesame" })).toBeNull();
    const wrong = [
      { token: "" },
      { token: "a b" },
      { port: 70_000 },
      { maxQueue: -1 },
      { slots: 0 },
      { slots: 513 },
      { corsOrigins: ["a.example/x"] },
    ];
    expect(wrong.map(codeOf)).toEqual(wrong.map(() => "CONFIG_INVALID"));
  });
});

describe("shutting down", () => {
  test("finishes what is under way, and takes nothing new", async () => {
    const client = await open({ script: { texts: ["a", "b", "c"], wait: 50 } });
    const answer = client.chat.completions.create(ask);
    const stream = await client.chat.completions.create({ ...ask, stream: true });
    expect(await eventually(() => scene.engine.running() === 2)).toBe(true);
    const closed = scene.close();
    await expect(fetch(`${scene.url}/health`)).rejects.toThrow();
    let text = "";
    for await (const { choices } of stream) text += choices[0]?.delta.content ?? "";
    expect([(await answer).choices[0]?.message.content, text]).toEqual(["abc", "abc"]);
    await closed;
  });

  test("ends what takes longer than the limit, and says so", async () => {
    const client = await open({ script: { texts: ["a", "b"], wait: "forever" }, drainMs: 30 });
    const whole = refusal(client.chat.completions.create(ask));
    const stream = await client.chat.completions.create({ ...ask, stream: true });
    const rest = (async () => {
      for await (const _ of stream);
    })();
    expect(await eventually(() => scene.engine.running() === 2)).toBe(true);
    const outcomes = Promise.all([whole, refusal(rest)]);
    await scene.close();
    expect(await outcomes).toMatchObject([{ status: 503, code: "shutting_down" }, { code: "shutting_down" }]);
    expect(scene.engine.running()).toBe(0);
  });

  test("a port that is taken is said with what to do", async () => {
    await open();
    const port = Number(new URL(scene.url).port);
    const second = createServer({ engine: scene.engine, port });
    await expect(second.listen()).rejects.toMatchObject({ code: "SERVER_ADDRESS", problems: [{ where: `127.0.0.1:${port}` }] });
    await second.close();
  });
});
