import { describe, expect, test } from "vitest";
import { isHeirloomError } from "../../core/index.ts";
import type { DataRecord } from "../record.ts";
import { detectForm, parseRow, type RowForm } from "./index.ts";

/** A row in the form that it is detected as, chats as `role: content` lines. */
function read(row: unknown, form?: RowForm): { form: RowForm; records: unknown[]; unusedFields: readonly string[] } {
  const found = form ?? detectForm(row).form;
  const parsed = parseRow(row, found);
  if ("fault" in parsed) expect.fail(parsed.fault);
  return { form: found, records: parsed.records.map(short), unusedFields: parsed.unusedFields };
}

function short(record: DataRecord): unknown {
  if (record.kind !== "chat") return record;
  return record.turns.map(({ message, weight }) => {
    const calls = message["tool_calls"] as { function: { name: string; arguments: unknown } }[] | undefined;
    const call = calls?.map(({ function: { name, arguments: args } }) => ` ${name}(${JSON.stringify(args)})`).join("") ?? "";
    return `${message.role}${weight === null ? "" : `*${weight}`}: ${message.content}${call}`;
  });
}

function faultOf(row: unknown, form?: RowForm): string {
  try {
    const parsed = parseRow(row, form ?? detectForm(row).form);
    return "fault" in parsed ? `${parsed.field ?? "-"}: ${parsed.fault}` : "none";
  } catch (error) {
    if (!isHeirloomError(error)) throw error;
    return error.message;
  }
}

const chat = (...turns: [string, unknown][]) => ({ conversations: turns.map(([from, value]) => ({ from, value })) });

describe("a row is understood as", () => {
  test("text", () => {
    expect(read({ text: "a", id: 3 })).toEqual({ form: "text", records: [{ kind: "text", text: "a" }], unusedFields: ["id"] });
  });

  test("prompt and completion, as text or as messages of which the prompt's are not trained", () => {
    expect(read({ prompt: "a", completion: "b" }).records).toEqual([{ kind: "completion", prompt: "a", completion: "b" }]);
    const prompt = [
      { role: "user", content: "a" },
      { role: "assistant", content: "b" },
      { role: "user", content: "c" },
    ];
    const { form, records } = read({ prompt, completion: [{ role: "assistant", content: "d" }] });
    expect([form, records]).toEqual(["prompt-completion", [["user*0: a", "assistant*0: b", "user*0: c", "assistant: d"]]]);
  });

  test("Alpaca, with input, system and history", () => {
    const row = { instruction: "i", input: "x", output: "o", system: "s", history: [["q", "a"]] };
    expect(read(row)).toEqual({
      form: "alpaca",
      records: [["system: s", "user: q", "assistant: a", "user: i\nx", "assistant: o"]],
      unusedFields: [],
    });
    expect(read({ instruction: "i", input: null, output: "o", system: "", history: [] }).records).toEqual([["user: i", "assistant: o"]]);
  });

  test("Alpaca under Dolly's names", () => {
    expect(read({ instruction: "i", context: "c", response: "r", category: "x" })).toEqual({
      form: "alpaca",
      records: [["user: i\nc", "assistant: r"]],
      unusedFields: ["category"],
    });
  });

  test("Alpaca with nested instances, each of them", () => {
    const row = {
      id: "t",
      instruction: "i",
      instances: [
        { input: "", output: "o" },
        { input: "x", output: "p" },
      ],
      is_classification: false,
    };
    expect(read(row)).toEqual({
      form: "alpaca",
      records: [
        ["user: i", "assistant: o"],
        ["user: i\nx", "assistant: p"],
      ],
      unusedFields: ["id", "is_classification"],
    });
  });

  test("Stanford's prompt text only when it is asked for", () => {
    expect(read({ instruction: "i", input: "x", output: "o" }, "alpaca-prompt").records).toEqual([
      {
        kind: "completion",
        prompt:
          "Below is an instruction that describes a task, paired with an input that provides further context. Write a response that appropriately completes the request.\n\n### Instruction:\ni\n\n### Input:\nx\n\n### Response:",
        completion: "o",
      },
    ]);
    expect(faultOf({ instruction: "i", output: "o", system: "s" }, "alpaca-prompt")).toMatch(/^system: "system" has no place/);
  });

  test("ShareGPT, whoever speaks", () => {
    const names = [
      ["human", "gpt"],
      ["user", "assistant"],
      ["human", "chatgpt"],
      ["human", "bing"],
      ["human", "bard"],
      ["user", "model"],
    ] as const;
    for (const [asks, answers] of names)
      expect(read(chat(["system", "s"], [asks, "q"], [answers, "a"]))).toEqual({
        form: "sharegpt",
        records: [["system: s", "user: q", "assistant: a"]],
        unusedFields: [],
      });
  });

  test("ShareGPT with tools, calls and observations", () => {
    const call = '{"name": "f", "arguments": {"x": 1}}';
    const row = {
      ...chat(["human", "q"], ["function_call", call], ["observation", "r"], ["gpt", "a"]),
      system: "s",
      tools: '[{"name": "f"}]',
    };
    expect(read(row).records).toEqual([["system: s", "user: q", 'assistant:  f({"x":1})', "tool: r", "assistant: a"]]);
    const parsed = parseRow(row, "sharegpt");
    expect(parsed).toMatchObject({ records: [{ tools: [{ type: "function", function: { name: "f" } }] }] });
    expect(read(chat(["human", "q"], ["function_call", `[${call}, ${call}]`], ["observation", "r"], ["gpt", "a"])).records).toEqual([
      ["user: q", 'assistant:  f({"x":1}) f({"x":1})', "tool: r", "assistant: a"],
    ]);
  });

  test("messages with text or typed parts, calls, and what they say of being trained", () => {
    const messages = [
      { role: "system", content: [{ type: "text", text: "s" }] },
      { role: "user", content: [{ type: "text", value: "a" }, "b"], loss_weight: 0.0 },
      {
        role: "assistant",
        content: null,
        tool_calls: [{ id: "1", type: "function", function: { name: "f", arguments: '{"x": 1}' } }],
        weight: 1,
      },
      { role: "tool", content: "r", tool_call_id: "1" },
      { role: "assistant", content: "c", train: false },
    ];
    expect(read({ messages, tools: [{ type: "function", function: { name: "f" } }] })).toEqual({
      form: "messages",
      records: [["system: s", "user*0: ab", 'assistant*1:  f({"x":1})', "tool: r", "assistant*0: c"]],
      unusedFields: [],
    });
  });

  test("messages under ShareGPT's name, and in a column of a table", () => {
    const turns = [
      { role: "user", content: "a" },
      { role: "assistant", content: "b" },
    ];
    for (const row of [{ conversations: turns }, { conversation: turns }, { messages: JSON.stringify(turns) }])
      expect(read(row)).toMatchObject({ form: "messages", records: [["user: a", "assistant: b"]] });
  });

  test("a question and its answer, and says so", () => {
    expect(read({ question: "q", answer: "a" })).toEqual({
      form: "question-answer",
      records: [["user: q", "assistant: a"]],
      unusedFields: [],
    });
    expect(read({ system_prompt: "s", question: "q", response: "a", id: 1 })).toEqual({
      form: "question-answer",
      records: [["system: s", "user: q", "assistant: a"]],
      unusedFields: ["id"],
    });
    expect(detectForm({ question: "q", answer: "a" }).evidence).toContain("--columns prompt=question,completion=answer");
    expect(detectForm({ messages: [{ role: "user", content: "x" }], question: "q", answer: "a" }).form).toBe("messages");
  });
});

describe("a row that is not read rightly has its fault and field named:", () => {
  const message = (fields: object) => ({ messages: [{ role: "assistant", ...fields }] });
  test.each([
    [{ text: 3 }, 'text: expected text in "text", found 3'],
    [{ text: "a", system: "s" }, /^system: "system" has no place in a row of the form text/],
    [{ text: "a", images: ["x.png"] }, /^images: "images" has no place/],
    [{ prompt: "a", completion: ["b"] }, /^completion: expected "prompt" and "completion" to be both/],
    [{ prompt: "a", completion: "b", label: true }, /^label: .* unpaired preference/],
    [{ instruction: "a", output: 3 }, 'output: expected text in "output", found 3'],
    [{ instruction: "a", output: "b", history: [["q"]] }, /^history\[0\]: expected a question and an answer/],
    [{ instruction: "a", instances: [] }, 'instances: "instances" is empty'],
    [{ conversations: [] }, 'conversations: "conversations" is empty'],
    [chat(["human", "a"], ["gtp", "b"]), /^conversations\[1\]\.from: .*"gtp", which is no role of a conversation; did you mean "gpt"\?/],
    [chat(["gpt", "a"]), /^conversations\[0\]\.from: .* at the start/],
    [chat(["human", "a"], ["human", "b"]), /^conversations\[1\]\.from: .* after one of the user/],
    [chat(["human", "a"]), /^conversations\[0\]\.from: conversations ends with a turn of the user/],
    [chat(["human", "a"], ["function_call", "{}"], ["gpt", "x"]), /^conversations\[2\]\.from: .* observation was expected/],
    [chat(["human", "a"], ["function_call", "{broken"]), /^conversations\[1\]\.value: expected JSON/],
    [chat(["human", "a"], ["gpt", 3]), 'conversations[1].value: expected text in "conversations[1].value", found 3'],
    [{ ...chat(["system", "s"], ["human", "a"], ["gpt", "b"]), system: "t" }, /^system: the row has a "system" field and a system turn/],
    [{ ...chat(["human", "a"], ["gpt", "b"]), tools: "{" }, /^tools: expected JSON in "tools"/],
    [{ ...chat(["human", "a"], ["gpt", "b"]), tools: [{}] }, /^tools\[0\]\.name: expected text/],
    [{ messages: [] }, 'messages: "messages" is empty'],
    [message({ content: 3 }), 'messages[0].content: expected text in "messages[0].content", found 3'],
    [message({ content: null }), /^messages\[0\]\.content: expected text/],
    [message({ content: [{ type: "image_url", image_url: {} }] }), /^messages\[0\]\.content\[0\]\.type: .*"image_url": only text/],
    [{ messages: [{ role: "asistant", content: "x" }] }, /^messages\[0\]\.role: .* did you mean "assistant"\?/],
    [message({ content: "x", weight: 0.5 }), /^messages\[0\]\.weight: expected 0 or 1/],
    [message({ content: "x", weight: 1, train: true }), /^messages\[0\]\.train: .* keep one/],
    [message({ content: "", tool_calls: [{}] }), /^messages\[0\]\.tool_calls\[0\]\.name: expected text/],
    [{ messages: [{ role: "user", content: "", tool_calls: [{ name: "f" }] }] }, /only the assistant calls tools/],
    [{ prompt: "p", chosen: "a", rejected: "b" }, /preference pairs \(chosen, rejected\), which supervised training cannot learn from/],
    [{ text: "a", instruction: "i", output: "o" }, /several forms \(text and alpaca\): keep one, or say which with --format/],
    [{ a: 1 }, /expected the fields of .*, found "a"/],
    [{ text: null }, /found "text"/],
    [[1], "expected an object, found a list of 1"],
    [null, "expected an object, found null"],
  ])("%j", (row, expected) => {
    const fault = faultOf(row);
    if (typeof expected === "string") expect(fault).toBe(expected);
    else expect(fault).toMatch(expected);
  });
});
