import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { isHeirloomError } from "../core/index.ts";
import { NO_LABEL } from "./example.ts";
import { type DatasetOptions, loadDataset } from "./load-dataset.ts";
import { createTokenizer, type Tokenizer } from "./tokenizer.ts";

const CHATML =
  "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
const folder = mkdtempSync(join(tmpdir(), "heirloom-data-"));
afterAll(() => rmSync(folder, { recursive: true }));

function tokenizerOf(kind: string, config: object = {}): Tokenizer {
  const tokenizer: unknown = JSON.parse(readFileSync(new URL(`../../vectors/tokenizers/${kind}.tokenizer.json`, import.meta.url), "utf8"));
  return createTokenizer({ tokenizer, config: { bos_token: "<s>", eos_token: "</s>", chat_template: CHATML, ...config } }, kind);
}
const tokenizer = tokenizerOf("llama3");

let files = 0;
function file(...rows: (object | string)[]): string {
  const path = join(folder, `${++files}.jsonl`);
  writeFileSync(path, rows.map((row) => (typeof row === "string" ? row : JSON.stringify(row))).join("\n"));
  return path;
}
const load = (options: Partial<DatasetOptions>, with_ = tokenizer) => loadDataset({ files: [], maxLength: 256, ...options }, with_);

/** The trained part of an example as text. */
async function trainedText(row: object, with_ = tokenizer): Promise<string[]> {
  const { examples } = await load({ files: [file(row)] }, with_);
  const parts: string[] = [];
  let run: number[] = [];
  for (const label of [...(examples[0]?.labels ?? []), NO_LABEL]) {
    if (label !== NO_LABEL) run.push(label);
    else if (run.length > 0) {
      parts.push(with_.decode(run));
      run = [];
    }
  }
  return parts;
}

async function failure(promise: Promise<unknown>) {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!isHeirloomError(error)) expect.fail(`expected an error of ours, got ${String(error)}`);
  return error;
}

describe("labels", () => {
  test("cover all of a {text} row, with the BOS of the post-processor and an EOS", async () => {
    expect(await trainedText({ text: "Hello world" })).toEqual(["<s>Hello world</s>"]);
  });

  test("cover the completion and EOS of a {prompt, completion} row", async () => {
    expect(await trainedText({ prompt: "What is ¾ of 8?", completion: " 6" })).toEqual([" 6</s>"]);
  });

  test("cover a token that reaches from the prompt into the completion, and the report counts the row", async () => {
    const { examples, report } = await load({ files: [file({ prompt: "A: ", completion: "the one" })] });
    expect(tokenizer.decode(Array.from(examples[0]?.labels ?? []).filter((label) => label !== NO_LABEL))).toBe(" the one</s>");
    expect(report.mixedTokenRows).toBe(1);
  });

  test("cover assistants' turns with their end token, and no separator after it", async () => {
    const messages = [
      { role: "system", content: "Be brief." },
      { role: "user", content: "Hi" },
      { role: "assistant", content: "Hello 你好" },
      { role: "user", content: "Bye" },
      { role: "assistant", content: "So long" },
    ];
    expect(await trainedText({ messages })).toEqual(["Hello 你好<|im_end|>", "So long<|im_end|>"]);
  });

  test("are the same for tokenizers without byte-level pieces", async () => {
    const pieces = tokenizerOf("llama2-prepend");
    expect(await trainedText({ prompt: "What is it? ", completion: "That is what it was" }, pieces)).toEqual(["That is what it was</s>"]);
    expect(
      await trainedText(
        {
          messages: [
            { role: "user", content: "one" },
            { role: "assistant", content: "two\n" },
          ],
        },
        pieces,
      ),
    ).toEqual(["two\n<|im_end|>"]);
  });

  test("are the same for a tokenizer that normalizes text to another length", async () => {
    expect(await trainedText({ prompt: "cafe\u0301: ", completion: "A\u030a ring" }, tokenizerOf("qwen2"))).toEqual([" Å ring</s>"]);
  });

  test("do not get a second EOS if the text ends with one", async () => {
    expect(await trainedText({ prompt: "a", completion: " b</s>" })).toEqual([" b</s>"]);
  });
});

describe("a chat that cannot be masked", () => {
  test("is refused when the template rewrites earlier turns", async () => {
    const rewriting = tokenizerOf("llama3", {
      chat_template: "{% for m in messages %}{{ m.content if loop.last else 'old ' }}|{% endfor %}",
    });
    const error = await failure(
      load(
        {
          files: [
            file({
              messages: [
                { role: "assistant", content: "a" },
                { role: "user", content: "b" },
              ],
            }),
          ],
        },
        rewriting,
      ),
    );
    expect(error.code).toBe("CHAT_TEMPLATE_INVALID");
    expect(error.message).toMatch(/\.jsonl:1: the assistant's turn 1 cannot be told from the rest/);
    expect(error.hint).toContain("{% generation %}");
  });

  test("names the row that the template refuses, and every other such row", async () => {
    const strict = tokenizerOf("llama3", {
      chat_template:
        "{% for m in messages %}{% if m.role == 'tool' %}{{ raise_exception('no tools: ' + m.content) }}{% endif %}{{ m.content }}{% endfor %}",
    });
    const chat = (content: string) => ({
      messages: [
        { role: "tool", content },
        { role: "assistant", content: "x" },
      ],
    });
    const error = await failure(load({ files: [file(chat("one"), chat("two"))] }, strict));
    expect(error.problems.map(({ code, where }) => `${code} ${where?.split(":").at(-1)}`)).toEqual([
      "CHAT_TEMPLATE_INVALID 1",
      "CHAT_TEMPLATE_INVALID 2",
    ]);
  });

  test("is refused once without a chat template, which can be given as a file", async () => {
    const bare = tokenizerOf("llama3", { chat_template: null });
    const path = file(
      {
        messages: [
          { role: "user", content: "a" },
          { role: "assistant", content: "b" },
        ],
      },
      { messages: [{ role: "assistant", content: "c" }] },
    );
    const error = await failure(load({ files: [path] }, bare));
    expect([error.code, error.problems.length]).toEqual(["CHAT_TEMPLATE_INVALID", 1]);
    writeFileSync(join(folder, "own.jinja"), CHATML);
    expect((await load({ files: [path], template: join(folder, "own.jinja") }, bare)).examples.length).toBe(2);
  });

  test("is refused for a template that is no Jinja", async () => {
    const broken = tokenizerOf("llama3", { chat_template: "{% for m in messages %}" });
    expect((await failure(load({ files: [file({ messages: [{ role: "assistant", content: "c" }] })] }, broken))).code).toBe(
      "CHAT_TEMPLATE_INVALID",
    );
  });
});

describe("a row longer than maxLength", () => {
  const long = { prompt: "short", completion: " word".repeat(60) };
  const cut = { prompt: "word ".repeat(60), completion: "end" };
  const fine = { prompt: "a", completion: " b" };

  test("stops the run by default, with the rows, their lengths and their number", async () => {
    const error = await failure(load({ files: [file(fine, long, cut)], maxLength: 20 }));
    expect(error.code).toBe("DATA_ROW_TOO_LONG");
    expect(error.message).toMatch(/2 of 3 rows are longer than 20 tokens: .*\.jsonl:2 \(\d+ tokens\), .*\.jsonl:3 \(\d+ tokens\)/);
    expect(error.details).toMatchObject({ tooLong: 2 });
  });

  test("is truncated and counted when asked, and counted again if that leaves no label", async () => {
    const { examples, report } = await load({ files: [file(fine, long, cut)], maxLength: 20, onTooLong: "truncate" });
    expect(examples.map(({ row, inputIds }) => [row, inputIds.length])).toEqual([
      [1, 4],
      [2, 20],
    ]);
    expect(report).toMatchObject({ rows: 3, examples: 2, tooLong: 2, truncated: 2, unlabelled: 1, droppedTooLong: 0 });
  });

  test("is dropped and counted when asked", async () => {
    const { report } = await load({ files: [file(fine, long, cut)], maxLength: 20, onTooLong: "drop" });
    expect(report).toMatchObject({ rows: 3, examples: 1, tooLong: 2, droppedTooLong: 2, truncated: 0, unlabelled: 0 });
  });

  test("is an error if nothing else is left", async () => {
    expect((await failure(load({ files: [file(long)], maxLength: 20, onTooLong: "drop" }))).code).toBe("DATA_EMPTY");
    const error = await failure(load({ files: [file(cut)], maxLength: 20, onTooLong: "truncate" }));
    expect([error.code, error.hint]).toEqual(["DATA_NO_LABELS", "truncation cut the completions off: raise data.maxLength"]);
  });
});

describe("a row without labels", () => {
  test("is left out and counted", async () => {
    const user = { messages: [{ role: "user", content: "nobody answers" }] };
    const { report } = await load({ files: [file(user, { messages: [{ role: "assistant", content: "a" }] })] });
    expect(report).toMatchObject({ rows: 2, examples: 1, unlabelled: 1 });
    expect((await failure(load({ files: [file(user, user)] }))).code).toBe("DATA_NO_LABELS");
  });
});

describe("a data file", () => {
  test("without rows is refused by name", async () => {
    const error = await failure(load({ files: [file({ text: "fine" }), file("", "  ")] }));
    expect([error.code, error.problems[0].where]).toEqual(["DATA_EMPTY", join(folder, `${files}.jsonl`)]);
  });

  test("that is not there is refused", async () => {
    expect((await failure(load({ files: [join(folder, "none.jsonl")] }))).code).toBe("FILE_MISSING");
  });

  test("with rows of other forms is refused with every row and its form", async () => {
    const error = await failure(
      load({
        files: [
          file(
            { text: "fine" },
            { instruction: "a", input: "", output: "b" },
            { conversations: [{ from: "human", value: "x" }] },
            { text: 3 },
            { text: "a", messages: [] },
            { prompt: "other form", completion: "x" },
            { messages: [] },
            { chosen: "a", rejected: "b" },
            { input_ids: [1], labels: [1] },
            { text: "x", tools: [{ name: "f" }] },
            { text: "\ud800 half" },
            "[1]",
            {},
          ),
        ],
      }),
    );
    expect(error.code).toBe("DATA_FORMAT_INVALID");
    expect(error.problems.map(({ where, message }) => `${where?.split(":").at(-1)}: ${message}`)).toMatchInlineSnapshot(`
      [
        "2: the row is of the form alpaca, those before it are text: keep one form in a file",
        "3: the row is of the form sharegpt, those before it are text: keep one form in a file",
        "4: expected text in "text", found 3",
        "5: the row has the fields of several forms (text and messages): keep one, or say which with --format",
        "6: the row is of the form prompt-completion, those before it are text: keep one form in a file",
        "7: the row is of the form messages, those before it are text: keep one form in a file",
        "8: the row is of the form preference pairs (chosen, rejected), which supervised training cannot learn from",
        "9: the row is of the form token ids (input_ids), which supervised training cannot learn from",
        "10: "tools" has no place in a row of the form text, and the row means something else without it",
        "11: "text" holds half of a surrogate pair, which is no character",
        "12: expected an object, found a list of 1",
        "13: expected the fields of {text}, {prompt, completion}, {messages}, {conversations} or {instruction, output}, found none",
      ]
    `);
  });

  test("with broken JSON is refused along with the other faults", async () => {
    const error = await failure(load({ files: [file({ nothing: 1 }, "{broken")] }));
    expect(error.problems.map(({ code }) => code)).toEqual(["DATA_FORMAT_INVALID", "JSONL_INVALID"]);
  });

  test("with many faults is given up after twenty", async () => {
    const error = await failure(load({ files: [file(...Array.from({ length: 100 }, (_, i) => ({ [`key${i}`]: 1 })))] }));
    expect(error.problems.length).toBe(20);
  });

  test("may have other fields, which the report names", async () => {
    const { report } = await load({ files: [file({ text: "a b", id: 1 }, { text: "b c", id: 2, note: "x" })] });
    expect(report.unusedFields).toEqual({ id: 2, note: 1 });
    expect(report.files).toMatchObject([{ path: join(folder, `${files}.jsonl`), container: "jsonl", form: "text", rows: 2 }]);
  });
});

describe("the fingerprint", () => {
  test("is that of ids and labels, not of the file", async () => {
    const a = await load({ files: [file({ prompt: "a", completion: " b" })] });
    const same = await load({ files: [file({ completion: " b", note: "n", prompt: "a" })] });
    const moved = await load({ files: [file({ prompt: "", completion: "a b" })] });
    expect(same.fingerprint).toBe(a.fingerprint);
    expect(moved.examples[0]?.inputIds).toEqual(a.examples[0]?.inputIds);
    expect(moved.fingerprint).not.toBe(a.fingerprint);
  });

  test("depends on the date only if the template prints it", async () => {
    const dated = tokenizerOf("llama3", {
      chat_template: "{{ strftime_now('%d %b %Y') }}{% for m in messages %}{{ m.content }}{% endfor %}",
    });
    const path = file({ messages: [{ role: "assistant", content: "x" }] });
    const on = (day: number, with_: Tokenizer) => load({ files: [path], now: new Date(2024, 6, day) }, with_);
    expect((await on(26, dated)).fingerprint).not.toBe((await on(27, dated)).fingerprint);
    expect((await on(26, dated)).report.usedClock).toBe(true);
    expect(dated.decode((await on(26, dated)).examples[0]?.inputIds ?? [])).toBe("26 Jul 2024x");
    expect((await on(26, tokenizer)).fingerprint).toBe((await on(27, tokenizer)).fingerprint);
    expect((await on(26, tokenizer)).report.usedClock).toBe(false);
  });
});
