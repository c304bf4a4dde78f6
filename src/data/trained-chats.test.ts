import { describe, expect, test } from "vitest";
import { renderTrained, type TrainOn } from "./assistant-spans.ts";
import { compileChatTemplate } from "./chat-template.ts";
import { parseRow } from "./forms/index.ts";
import type { ChatRecord } from "./record.ts";
import { toolsAsText } from "./tool-text.ts";

const PLAIN =
  "{% for m in messages %}{{ '<' + m.role + '>' + m.content + '<end>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}";
const MARKED =
  "{% for m in messages %}{{ '<' + m.role + '>' }}{% if m.role == 'assistant' %}{% generation %}{{ m.content + '<end>' }}{% endgeneration %}{% else %}{{ m.content + '<end>' }}{% endif %}{{ '\\n' }}{% endfor %}";
const TOOLS =
  "{% if tools %}{{ 'TOOLS' }}{{ tools | tojson }}{% endif %}{% for m in messages %}{{ '<' + m.role + '>' + m.content }}{% if m.tool_calls %}{{ m.tool_calls[0].function | tojson }}{% endif %}{{ '<end>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}";

function trained(source: string, record: ChatRecord, trainOn: TrainOn = "assistant"): string[] {
  const template = compileChatTemplate(source, { namedTokens: {}, name: "own.jinja" });
  const { text, spans } = renderTrained(template, record, trainOn, ["<end>"], "rows:1");
  return spans.map(({ start, end }) => text.slice(start, end));
}

function chat(row: object, form: "messages" | "sharegpt" = "messages"): ChatRecord {
  const parsed = parseRow(row, form);
  if ("fault" in parsed) expect.fail(parsed.fault);
  return parsed.records[0] as ChatRecord;
}

const turns = (...weights: (0 | 1 | null)[]) =>
  chat({
    messages: ["user", "assistant", "user", "assistant"].map((role, i) => ({
      role,
      content: `${role[0]}${i}`,
      ...(weights[i] === undefined || weights[i] === null ? {} : { weight: weights[i] }),
    })),
  });

describe.each([
  ["by offsets", PLAIN],
  ["by generation marks", MARKED],
])("what is trained of a chat, %s:", (_, source) => {
  test("all assistants' turns, the last, or everything", () => {
    expect(trained(source, turns())).toEqual(["a1<end>", "a3<end>"]);
    expect(trained(source, turns(), "last")).toEqual(["a3<end>"]);
    expect(trained(source, turns(), "all")).toEqual(["<user>u0<end>\n<assistant>a1<end>\n<user>u2<end>\n<assistant>a3<end>\n"]);
  });

  test("turns with a weight of their own as it says", () => {
    expect(trained(source, turns(0, 0, 0, 1))).toEqual(["a3<end>"]);
    expect(trained(source, turns(null, 1, null, null), "last")).toEqual(["a1<end>", "a3<end>"]);
    expect(trained(source, turns(null, 0, null, null), "all")).toEqual([
      "<user>u0<end>\n<assistant>",
      "\n<user>u2<end>\n<assistant>a3<end>\n",
    ]);
  });
});

test("a user's turn with a weight of 1 is trained from its content on", () => {
  expect(trained(PLAIN, turns(null, 0, 1, 0))).toEqual(["u2<end>"]);
});

describe("tools", () => {
  const call = '{"name": "add", "arguments": {"x": 1}}';
  const row = {
    conversations: [
      { from: "human", value: "q" },
      { from: "function_call", value: call },
      { from: "observation", value: "2" },
      { from: "gpt", value: "It is 2" },
    ],
    tools: '[{"name": "add"}]',
  };

  test("go to the template; calls are trained, observations are not", () => {
    expect(trained(TOOLS, chat(row, "sharegpt"))).toEqual([`${call}<end>`, "It is 2<end>"]);
  });

  test("are refused by a template that has no place for them", () => {
    for (const part of [row, { ...row, tools: undefined }])
      expect(() => trained(PLAIN, chat(part, "sharegpt"))).toThrow(
        expect.objectContaining({ code: "CHAT_TEMPLATE_INVALID", hint: expect.stringContaining("data.tools to hermes") as string }),
      );
  });

  test("can be written as text, observations in a row as one turn", () => {
    const two = {
      ...row,
      conversations: [...row.conversations.slice(0, 3), { from: "observation", value: "3" }, ...row.conversations.slice(3)],
    };
    const record = toolsAsText(chat(two, "sharegpt"));
    expect(record.turns.map(({ message }) => message.role)).toEqual(["system", "user", "assistant", "user", "assistant"]);
    expect(record.turns[0]?.message.content).toContain('<tools>\n{"type": "function", "function": {"name": "add"}}\n</tools>');
    expect(record.turns[3]?.message.content).toBe("<tool_response>\n2\n</tool_response>\n<tool_response>\n3\n</tool_response>");
    expect(trained(PLAIN, record)).toEqual([`<tool_call>\n${call}\n</tool_call><end>`, "It is 2<end>"]);
    const withSystem = toolsAsText(chat({ ...row, system: "Be brief." }, "sharegpt"));
    expect(withSystem.turns[0]?.message.content).toMatch(/^Be brief\.\n\nYou can call/);
  });

  test("reasoning is refused by a template that has no place for it", () => {
    const record = chat({
      messages: [
        { role: "user", content: "q" },
        {
          role: "assistant",
          content: [
            { type: "reasoning", value: "hm" },
            { type: "text", text: "a" },
          ],
        },
      ],
    });
    expect(() => trained(PLAIN, record)).toThrow(/no place for it \(reasoning_content\)/);
  });
});

test("json in a template is written as Python writes it", () => {
  // Of transformers' tojson: json.dumps(ensure_ascii=False).
  const template = compileChatTemplate("{{ tools[0] | tojson }}", { namedTokens: {}, name: "x" });
  const tools = [{ type: "function", function: { name: "f", x: [1, 2.5, true, null], s: "ü\n\"</script>'" } }];
  expect(template.render([], { tools }).text).toBe(
    String.raw`{"type": "function", "function": {"name": "f", "x": [1, 2.5, true, null], "s": "ü\n\"</script>'"}}`,
  );
});
