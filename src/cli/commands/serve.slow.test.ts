import { join } from "node:path";
import type { Worker } from "node:worker_threads";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { TinyWorkshop } from "../../train/fixtures/tiny-run.ts";
import { type FakeTerminal, fakeTerminal } from "../fixtures/fake-terminal.ts";
import { runCli } from "../run.ts";

interface Served {
  readonly client: OpenAI;
  readonly url: string;
  readonly terminal: FakeTerminal;
  /** The exit code, once it is over. */
  readonly ended: Promise<number>;
  /** Ctrl-C; returns the exit code. */
  stop(): Promise<number>;
}

async function startServe(inputs: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Served> {
  const terminal = fakeTerminal({ env, folder: process.cwd() });
  let exit: number | undefined;
  const ended = runCli(["serve", ...inputs, "--port", "0"], terminal).then((code) => {
    exit = code;
    return code;
  });
  while (!terminal.err().includes("serving") && exit === undefined) await new Promise((resolve) => setTimeout(resolve, 20));
  const url = / at (\S+)\/v1/.exec(terminal.err())?.[1] ?? `none: ${terminal.err()}`;
  return {
    client: new OpenAI({ baseURL: `${url}/v1`, apiKey: env["HEIRLOOM_TOKEN"] ?? "none", maxRetries: 0 }),
    url,
    terminal,
    ended,
    stop() {
      terminal.interrupt();
      return ended;
    },
  };
}

describe("serve with the bundled base", () => {
  let served: Served;
  beforeAll(async () => {
    served = await startServe(["assets/base", "--slots", "1", "--json"]);
  });
  afterAll(async () => {
    await served.stop();
  });

  const greedy = { model: "base", prompt: "In the beginning", max_tokens: 6, temperature: 0 };

  test("streams what it answers at once, and the same for the same seed", async () => {
    const whole = await served.client.completions.create(greedy);
    let text = "";
    for await (const { choices } of await served.client.completions.create({ ...greedy, stream: true })) text += choices[0]?.text ?? "";
    expect(text).toBe(whole.choices[0]?.text);
    expect(whole.usage).toMatchObject({ completion_tokens: 6 });
    const drawn = { model: "base", messages: [{ role: "user" as const, content: "Define water." }], max_tokens: 8, seed: 3, n: 2 };
    const texts = async () => (await served.client.chat.completions.create(drawn)).choices.map(({ message }) => message.content);
    const first = await texts();
    expect(await texts()).toEqual(first);
    expect(first[0]).not.toBe(first[1]);
  });

  test("goes on with others at once after a client hung up", async () => {
    const controller = new AbortController();
    // 500 tokens take some seconds, and there is one slot.
    const long = served.client.completions.create({ ...greedy, max_tokens: 500, n: 8 }, { signal: controller.signal });
    setTimeout(() => controller.abort(), 100);
    await expect(long).rejects.toThrow("aborted");
    expect((await served.client.completions.create(greedy)).choices).toHaveLength(1);
    expect(await (await fetch(`${served.url}/health`)).json()).toMatchObject({ completions: 0 });
  });

  test("tells what the template and the context do not take", async () => {
    const system = { model: "base", messages: [{ role: "system" as const, content: "x" }] };
    await expect(served.client.chat.completions.create(system)).rejects.toMatchObject({ status: 400, code: "chat_template_invalid" });
    const tools = [{ type: "function" as const, function: { name: "weather", parameters: { type: "object", properties: {} } } }];
    const asked = { model: "base", messages: [{ role: "user" as const, content: "Rain?" }], tools };
    for (const stream of [false, true]) {
      const refusal = served.client.chat.completions.create({ ...asked, stream });
      await expect(refusal).rejects.toMatchObject({
        status: 400,
        code: "chat_template_invalid",
        message: expect.stringContaining("tools"),
      });
    }
    const prompt = "and God said ".repeat(400);
    await expect(served.client.completions.create({ ...greedy, prompt })).rejects.toMatchObject({ code: "context_length_exceeded" });
  });

  test("ends with Ctrl-C, with a document of what it did", async () => {
    expect(await served.stop()).toBe(0);
    expect(JSON.parse(served.terminal.out())).toMatchObject({ url: served.url, models: ["base"] });
    expect(served.terminal.err()).toContain("POST /v1/completions 200 model=base prompt=5 completion=6");
    expect(served.terminal.err()).not.toContain("beginning");
    await expect(fetch(`${served.url}/health`)).rejects.toThrow();
  });
});

test("ends with the code of what its engine died of, without a signal, and frees the port", async () => {
  let thread: Worker | undefined;
  const notice = (worker: Worker): void => {
    thread = worker;
  };
  process.on("worker", notice);
  const served = await startServe(["assets/base"]);
  process.off("worker", notice);
  const answer = served.client.completions.create({ model: "base", prompt: "In the beginning", max_tokens: 400 });
  answer.catch(() => undefined);
  await thread?.terminate();
  expect(await served.ended).toBe(70);
  expect(served.terminal.err()).toContain("INTERNAL");
  expect(served.terminal.err()).toContain("the engine's thread ended with exit code 1");
  await expect(answer).rejects.toThrow();
  await expect(fetch(`${served.url}/health`)).rejects.toThrow();
});

describe("serve with adapters", () => {
  let workshop: TinyWorkshop;
  beforeAll(async () => {
    workshop = await TinyWorkshop.open();
  });
  afterAll(() => workshop.close());

  test("answers as each of them, by name, for those who have the token", async () => {
    const { result } = await workshop.train({ training: { steps: 2 } });
    const checkpoint = join(result.run, "checkpoint-2");
    const served = await startServe([result.run, "--adapter", `last=${checkpoint}`], { HEIRLOOM_TOKEN: "sesame" });
    const ids = (await served.client.models.list()).data.map(({ id }) => id);
    expect(ids).toContain("last");
    expect(ids).toHaveLength(3);
    for (const model of ids) {
      const answer = await served.client.completions.create({ model, prompt: "amber 0:", max_tokens: 3, temperature: 0 });
      expect(answer.model).toBe(model);
    }
    expect((await fetch(`${served.url}/v1/models`)).status).toBe(401);
    expect(await served.stop()).toBe(0);
    expect(served.terminal.err()).not.toContain("sesame");
  });

  test("refuses to be open to others without a token, and a base that is not there", async () => {
    const refused = async (inputs: readonly string[]): Promise<unknown> => {
      const terminal = fakeTerminal({ folder: process.cwd() });
      const exit = await runCli(["serve", ...inputs, "--json"], terminal);
      const { error } = JSON.parse(terminal.out()) as { error: { code: string } };
      return [exit, error.code];
    };
    expect(await refused(["assets/base", "--host", "0.0.0.0"])).toEqual([10, "SERVER_EXPOSED"]);
    expect(await refused(["no/such/base"])).toEqual([11, "FILE_MISSING"]);
    expect(await refused(["assets/base", "--port", "x"])).toEqual([2, "USAGE"]);
    expect(await refused(["assets/base", "--max-body", "5"])).toEqual([2, "USAGE"]);
  });
});
