import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { HeirloomError } from "../core/index.ts";
import type { CompletionEvent, CompletionRequest, GenerationEngine } from "../generate/index.ts";
import { Conversation, type ConversationOptions } from "./conversation.ts";

const CONTEXT = 200;

type Messages = Extract<CompletionRequest["prompt"], { messages: unknown }>["messages"];
const messagesOf = (request: CompletionRequest): Messages => ("messages" in request.prompt ? request.prompt.messages : []);

/** An engine whose tokens are characters; it answers with the number of turns, and waits for an abort if the last one is "slow". */
function fakeEngine(requests: CompletionRequest[]): GenerationEngine {
  return {
    models: ["base", "poet"].map((id) => ({ id, kind: "adapter" as const, contextLength: CONTEXT })),
    notes: [],
    cacheBytes: 0,
    hasChatTemplate: true,
    ended: new Promise(() => undefined),
    async *complete(request, signal): AsyncGenerator<CompletionEvent> {
      const messages = messagesOf(request);
      requests.push(request);
      const promptTokens = messages.reduce((sum, { content }) => sum + String(content).length, 0);
      if (messages[0]?.content === "nowhere") throw new HeirloomError("CHAT_TEMPLATE_INVALID", "no place for a system message");
      if (promptTokens >= CONTEXT) throw new HeirloomError("PROMPT_TOO_LONG", "too long");
      yield { type: "start", promptTokens };
      yield { type: "text", text: `${messages.length} `, tokenCount: 1, tokens: [] };
      if (messages.at(-1)?.content === "slow") {
        await new Promise<void>((resolve) => signal?.addEventListener("abort", () => resolve()));
        throw new HeirloomError("INTERRUPTED", "stopped");
      }
      yield { type: "text", text: "turns", tokenCount: 0, tokens: [] };
      yield { type: "done", stop: "end", promptTokens, completionTokens: 7 };
    },
    close: () => Promise.resolve(),
  };
}

function converse(changes: Partial<ConversationOptions> = {}) {
  const [requests, said]: [CompletionRequest[], string[]] = [[], []];
  let answered = "";
  const conversation = new Conversation({
    engine: fakeEngine(requests),
    model: "base",
    system: null,
    sampling: { temperature: 0 },
    stop: [],
    maxTokens: null,
    folder: "/",
    answer: (text) => {
      answered += text;
    },
    say: (message) => void said.push(message),
    ...changes,
  });
  const take = (line: string, signal = new AbortController().signal): Promise<boolean> => conversation.take(line, signal);
  return { conversation, take, requests, said, answered: () => answered };
}

describe("a conversation", () => {
  test("gives the model all turns so far, the system message first", async () => {
    const { take, requests, answered } = converse({ system: "Be brief." });
    await take("one");
    await take("  ");
    await take("two");
    expect(requests.map((request) => messagesOf(request).map(({ role, content }) => `${role}: ${String(content)}`))).toEqual([
      ["system: Be brief.", "user: one"],
      ["system: Be brief.", "user: one", "assistant: 2 turns", "user: two"],
    ]);
    expect(answered()).toBe("2 turns\n4 turns\n");
  });

  test("forgets, changes its system message and its model when it is told to", async () => {
    const { conversation, take, requests, said } = converse();
    await take("one");
    await take("/reset");
    await take("/system Sing.");
    await take("/adapter poet");
    await take("/adapter nobody");
    await take("two");
    expect(requests.at(-1)).toMatchObject({ model: "poet", prompt: { messages: [{ content: "Sing." }, { content: "two" }] } });
    expect(said.at(-1)).toBe("expected one of base, poet, found nobody");
    await take("/system");
    expect(conversation.messages[0]).toMatchObject({ role: "user" });
  });

  test("refuses a system message that the template has no place for, and goes on without", async () => {
    const { conversation, take, said } = converse();
    await take("/system nowhere");
    expect(said).toEqual(["the system message is not set: no place for a system message"]);
    await take("one");
    expect(conversation.messages.map(({ role }) => role)).toEqual(["user", "assistant"]);
  });

  test("says which turns it drops when the context is full, and keeps the latest", async () => {
    const { conversation, take, said } = converse();
    await take("a".repeat(90));
    await take("b".repeat(60));
    expect(said).toEqual([`the context is full: forgetting the oldest 2 turns, from "${"a".repeat(60)}…"`]);
    expect(conversation.messages.map(({ content }) => content[0])).toEqual(["b", "1"]);
    await take("c".repeat(300));
    expect(said.at(-1)).toBe("too long; the message is not kept");
    await take("d");
    expect(conversation.messages.at(-1)).toEqual({ role: "assistant", content: "1 turns" });
  });

  test("keeps an answer that was stopped as far as it came", async () => {
    const { conversation, take, said } = converse();
    const controller = new AbortController();
    const answering = take("slow", controller.signal);
    await new Promise((resolve) => setImmediate(resolve));
    controller.abort();
    expect(await answering).toBe(true);
    expect(conversation.messages.at(-1)).toEqual({ role: "assistant", content: "1 " });
    expect(said).toEqual(["(stopped)"]);
  });

  test("is added to JSON Lines that are there, and writes over nothing else", async () => {
    const folder = mkdtempSync(join(tmpdir(), "heirloom-chat-"));
    const { take, said } = converse({ folder });
    writeFileSync(join(folder, "precious.txt"), "mine");
    writeFileSync(join(folder, "talk.jsonl"), '{"text":"first, without a line end"}');
    await take("one");
    await take("/save precious.txt");
    expect(said.at(-1)).toMatch(/^not saved: .*\.jsonl/);
    expect(readFileSync(join(folder, "precious.txt"), "utf8")).toBe("mine");
    await take("/save talk.jsonl");
    await take("/save talk.jsonl");
    const rows = readFileSync(join(folder, "talk.jsonl"), "utf8").split("\n");
    expect(rows.map((row) => (row === "" ? null : Object.keys(JSON.parse(row) as object)))).toEqual([
      ["text"],
      ["messages"],
      ["messages"],
      null,
    ]);
    expect(said.at(-1)).toBe(`added to ${join(folder, "talk.jsonl")}`);
    rmSync(folder, { recursive: true });
  });

  test("is saved as a row of messages, and ends with /quit", async () => {
    const folder = mkdtempSync(join(tmpdir(), "heirloom-chat-"));
    const { take, said } = converse({ folder });
    await take("one");
    await take("/save talk.jsonl");
    expect(JSON.parse(readFileSync(join(folder, "talk.jsonl"), "utf8"))).toEqual({
      messages: [
        { role: "user", content: "one" },
        { role: "assistant", content: "1 turns" },
      ],
    });
    await take("/save talk.jsonl/talk.jsonl");
    expect(said.at(-1)).toMatch(/^not saved: /);
    await take("/save no/such/talk.jsonl");
    expect(said.at(-1)).toMatch(/^not saved: .*: there is no such folder$/);
    expect(existsSync(join(folder, "no"))).toBe(false);
    rmSync(folder, { recursive: true });
    await take("/rset");
    expect(said.at(-1)).toBe("unknown command /rset; did you mean /reset?");
    expect(await take("/quit")).toBe(false);
  });
});
