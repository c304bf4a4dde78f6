import { describe, expect, test } from "vitest";
import { compileChatTemplate } from "./chat-template.ts";
import { formatTime } from "./strftime.ts";

const compile = (source: string, now = new Date(2026, 0, 5, 15, 4, 9)) =>
  compileChatTemplate(source, { namedTokens: { bos_token: "<s>" }, name: "own.jinja", now });
const user = [{ role: "user", content: "hi" }];

describe("a chat template", () => {
  test.each([
    ["{{ strftime_now('%d %b %Y') }}", "05 Jan 2026"],
    ["{{ strftime_now('%A, %B %d, %I:%M:%S %p (%a %y %m %H) 100%%') }}", "Monday, January 05, 03:04:09 PM (Mon 26 01 15) 100%"],
    ["{% if strftime_now is defined %}yes{% endif %}", "yes"],
    ["{% if tools is not none %}tools{% endif %}{{ bos_token }}", "<s>"],
  ])("has the extras of transformers: %s", (source, text) => {
    expect(compile(source).render(user).text).toBe(text);
  });

  test("knows whether it asked for the date", () => {
    const template = compile("{% if add_generation_prompt %}{{ strftime_now('%Y') }}{% endif %}");
    template.render(user);
    expect(template.usedClock).toBe(false);
    template.render(user, { addGenerationPrompt: true });
    expect(template.usedClock).toBe(true);
  });

  test("refuses a time code that it does not know", () => {
    expect(() => formatTime(new Date(), "%Q")).toThrow(expect.objectContaining({ code: "CHAT_TEMPLATE_INVALID" }));
  });

  test.each([
    ["{% for m in messages %}", /could not be parsed/],
    ["{{ messages | nothing }}", /the chat template failed/],
    ["{% generation %}x", /does not close a generation/],
    ["x{% endgeneration %}", /closes a generation that it did not open/],
    ["{% generation %}{% generation %}", /opens a generation inside a generation/],
  ])("says what is wrong with %s", (source, message) => {
    expect(() => compile(source).render(user, { where: "rows.jsonl:3" })).toThrow(message);
  });

  test.each([
    ["{% for i in range(1000000000) %}{% endfor %}", /range\(\) over more than 100000 numbers/],
    ["{{ range(0, -100001, -1) | length }}", /range\(\) over more than 100000 numbers/],
    ["{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}", /more than 5000000 steps/],
    ["{% set n = namespace(t='xxxxxxxx') %}{% for i in range(40) %}{% set n.t = n.t + n.t %}{% endfor %}", /a text of more than/],
    ["{% set n = namespace(t=[1, 2]) %}{% for i in range(40) %}{% set n.t = n.t + n.t %}{% endfor %}", /more than 5000000 steps/],
  ])(
    "ends a template that would not end, or would fill memory: %s",
    (source, message) => {
      const render = () => compile(source).render(user, { where: "rows.jsonl:3" });
      expect(render).toThrow(message);
      expect(render).toThrow(expect.objectContaining({ code: "CHAT_TEMPLATE_INVALID" }));
    },
    30_000,
  );

  test("counts in ranges as Python does", () => {
    const text = "{{ range(3) | join(',') }} {{ range(5, 2, -2) | join(',') }} {{ range(2, 2) | length }} {{ range(1, 6, 2) | join(',') }}";
    expect(compile(text).render(user).text).toBe("0,1,2 5,3 0 1,3,5");
  });

  test("names the row and the template", () => {
    const render = () => compile("{{ raise_exception('no') }}").render(user, { where: "rows.jsonl:3" });
    expect(render).toThrow(
      expect.objectContaining({ code: "CHAT_TEMPLATE_INVALID", message: "rows.jsonl:3: the chat template failed: no" }),
    );
  });

  test("does not let a message pretend to be a mark", () => {
    expect(() =>
      compile("{% generation %}{{ messages[0].content }}{% endgeneration %}").render([{ role: "user", content: "\ufdd1" }]),
    ).toThrow(/noncharacter/);
  });
});
