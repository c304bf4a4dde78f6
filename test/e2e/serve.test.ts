import OpenAI from "openai";
import { describe, expect, it } from "vitest";
import { heirloom, isBuilt, type Running, startHeirloom } from "./fixtures/program.ts";

describe.skipIf(!isBuilt)("heirloom serve", () => {
  const greedy = { model: "base", prompt: "In the beginning", max_tokens: 100, temperature: 0 };

  async function started(): Promise<{ running: Running; client: OpenAI }> {
    const running = startHeirloom(["serve", "assets/base", "--port", "0"]);
    let err = "";
    running.child.stderr?.on("data", (chunk: Buffer) => {
      err += chunk.toString();
    });
    await running.shown("/v1\n");
    const url = /http:\S+/.exec(err)?.[0] ?? "";
    return { running, client: new OpenAI({ baseURL: url, apiKey: "none", maxRetries: 0 }) };
  }

  it("answers OpenAI's client; SIGTERM lets it finish its stream, then the program ends with 0", async () => {
    const { running, client } = await started();
    expect((await client.models.list()).data.map(({ id }) => id)).toEqual(["base"]);
    const whole = await client.completions.create(greedy);
    const stream = await client.completions.create({ ...greedy, stream: true });
    let text = "";
    for await (const { choices } of stream) {
      if (text === "") running.child.kill("SIGTERM");
      text += choices[0]?.text ?? "";
    }
    expect(text).toBe(whole.choices[0]?.text);
    const { code, out, err } = await running.ended;
    expect({ code, out }).toEqual({ code: 0, out: "" });
    expect(err).toContain("POST /v1/completions 200 model=base prompt=5 completion=");
  });

  it("refuses to be open to others without a token", async () => {
    const { code, err } = await heirloom(["serve", "assets/base", "--host", "0.0.0.0"]);
    expect(code).toBe(10);
    expect(err).toContain("SERVER_EXPOSED");
  });
});
