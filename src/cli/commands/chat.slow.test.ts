import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { writeTinyModel } from "../../engine/fixtures/tiny-model.ts";
import { fakeTerminal } from "../fixtures/fake-terminal.ts";
import { runCli } from "../run.ts";

const TEMPLATE = "{% for m in messages %}{{ m.role[0] }}: {{ m.content }}\n{% endfor %}a: ";

let folder: string;
let model: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "heirloom-chat-"));
  model = await writeTinyModel(join(folder, "tiny"));
  const config = JSON.parse(readFileSync(join(model, "tokenizer_config.json"), "utf8")) as object;
  writeFileSync(join(model, "tokenizer_config.json"), JSON.stringify({ ...config, chat_template: TEMPLATE }));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe("heirloom chat", () => {
  test("answers each line that is piped in, and gives the conversation as JSON", async () => {
    const plain = fakeTerminal({ folder, input: ["hi", "/help", "more"] });
    expect(await runCli(["chat", "tiny", "--max-tokens", "4"], plain)).toBe(0);
    expect(plain.err()).toContain("tiny: up to 128 tokens");
    expect(plain.err()).toContain("/reset");
    expect(plain.err()).not.toContain("> ");
    const json = fakeTerminal({ folder, input: ["hi", "more", "/quit", "never"] });
    expect(await runCli(["chat", "tiny", "--max-tokens", "4", "--json"], json)).toBe(0);
    const { messages, model: name } = JSON.parse(json.out()) as { model: string; messages: { role: string; content: string }[] };
    expect(name).toBe("tiny");
    expect(messages.map(({ role }) => role)).toEqual(["user", "assistant", "user", "assistant"]);
    for (const { role, content } of messages) if (role === "assistant") expect(plain.out()).toContain(JSON.stringify(content).slice(1, 4));
  });

  test("takes Ctrl-C for the answer under way, and ends at the second one between answers", async () => {
    let interrupted = false;
    // The first piece of the answer is there, so it is under way.
    const onOutput = (text: string): void => {
      if (interrupted || text.trim() === "") return;
      interrupted = true;
      terminal.interrupt();
    };
    const terminal = fakeTerminal({ folder, isTTY: true, input: lines(), onOutput });
    async function* lines() {
      yield "hi";
      expect(interrupted).toBe(true);
      terminal.interrupt();
      expect(terminal.ended).toBe(false);
      terminal.interrupt();
    }
    expect(await runCli(["chat", "tiny", "--temperature", "3", "--seed", "1"], terminal)).toBe(0);
    expect(terminal.ended).toBe(true);
    expect(terminal.err()).toContain("/quit or Ctrl-D ends; so does Ctrl-C again");
  });
});

describe("heirloom generate", () => {
  test("streams one completion, and writes many to a file", async () => {
    const one = fakeTerminal({ folder });
    expect(await runCli(["generate", "tiny", "--prompt", "ab", "--max-tokens", "3"], one)).toBe(0);
    expect(one.out()).toContain("(stopped by ");
    writeFileSync(join(folder, "prompts.jsonl"), ['{"prompt":"ab"}', '{"messages":[{"role":"user","content":"hi"}]}', '"cd"'].join("\n"));
    const many = fakeTerminal({ folder });
    expect(await runCli(["generate", "tiny", "--file", "prompts.jsonl", "-o", "out.jsonl", "--max-tokens", "3"], many)).toBe(0);
    const rows = readFileSync(join(folder, "out.jsonl"), "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(rows).toMatchObject([{ prompt: "ab", model: "tiny" }, { messages: [{ content: "hi" }] }, { prompt: "cd" }]);
    for (const row of rows) expect(typeof row["completion"]).toBe("string");
    expect(many.out()).toContain("3 completions in ");
    const again = fakeTerminal({ folder });
    expect(await runCli(["generate", "tiny", "--prompt", "ab", "-o", "out.jsonl"], again)).toBe(40);
    expect(again.err()).toContain("OUTPUT_EXISTS");
    expect(readFileSync(join(folder, "out.jsonl"), "utf8").trim().split("\n")).toHaveLength(3);
  });

  test("reads a text a line, puts it into a chat, and names the lines of a file that are no prompts", async () => {
    writeFileSync(join(folder, "prompts.txt"), "ab\n\ncd\n");
    const json = fakeTerminal({ folder });
    expect(await runCli(["generate", "tiny", "--file", "prompts.txt", "--system", "S", "--max-tokens", "2", "--json"], json)).toBe(0);
    expect(JSON.parse(json.out())).toMatchObject({ completions: [{ prompt: { messages: [{ role: "system" }, { content: "ab" }] } }, {}] });
    writeFileSync(join(folder, "bad.jsonl"), '{"prompt":1}\n{"prompt":"a"}\n{"messages":[]}\n');
    const bad = fakeTerminal({ folder });
    expect(await runCli(["generate", "tiny", "--file", "bad.jsonl"], bad)).toBe(11);
    expect(bad.err()).toContain("bad.jsonl:1");
    expect(bad.err()).toContain("bad.jsonl:3");
  });

  test.each(["generate", "chat"])("%s names a flag out of range as it was typed", async (command) => {
    const terminal = fakeTerminal({ folder });
    const prompt = command === "generate" ? ["--prompt", "ab"] : [];
    expect(await runCli([command, "tiny", ...prompt, "--top-p", "2"], terminal)).not.toBe(0);
    expect(terminal.err()).toContain("--top-p");
    expect(terminal.err()).not.toContain("topP");
  });

  test("reads a JSON list as prompts, and refuses one of something else", async () => {
    writeFileSync(join(folder, "list.json"), '[\n"ab", {"prompt":"cd"}]');
    const list = fakeTerminal({ folder });
    expect(await runCli(["generate", "tiny", "--file", "list.json", "--max-tokens", "2", "--json"], list)).toBe(0);
    expect(JSON.parse(list.out())).toMatchObject({ completions: [{ prompt: "ab" }, { prompt: "cd" }] });
    writeFileSync(join(folder, "share.json"), '["ab", {"conversations":[]}]');
    const bad = fakeTerminal({ folder });
    expect(await runCli(["generate", "tiny", "--file", "share.json"], bad)).toBe(11);
    expect(bad.err()).toContain("share.json:2");
  });

  test("names --chat where a model with a chat template is given plain text, and only there", async () => {
    const notes = async (...flags: readonly string[]): Promise<string> => {
      const terminal = fakeTerminal({ folder });
      expect(await runCli(["generate", "tiny", "--prompt", "ab", "--max-tokens", "2", ...flags], terminal)).toBe(0);
      return terminal.out();
    };
    expect(await notes()).toContain("--chat asks as in a chat");
    expect(await notes("--chat")).not.toContain("--chat");
  });
});
