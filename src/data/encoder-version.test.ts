import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { encoderIdentity } from "./encoder-version.ts";
import { type DatasetOptions, loadDataset } from "./load-dataset.ts";
import { createTokenizer } from "./tokenizer.ts";

const folder = mkdtempSync(join(tmpdir(), "heirloom-encoder-"));
afterAll(() => rmSync(folder, { recursive: true }));

const chat = [
  { role: "user", content: "What is 2 + 2? 你好" },
  { role: "assistant", content: "It is 4.  " },
];
const call = { type: "function", function: { name: "add", arguments: { a: 1, b: 2 } } };
const FORMS: readonly (readonly [name: string, row: object, options?: Partial<DatasetOptions>])[] = [
  ["messages", { messages: [...chat, { role: "user", content: "  more " }, { role: "assistant", content: "no", weight: 0 }] }],
  ["last", { messages: [...chat, ...chat] }, { trainOn: "last" }],
  ["tools", { messages: [chat[0], { role: "assistant", content: "", tool_calls: [call] }] }],
  [
    "sharegpt",
    {
      conversations: [
        { from: "human", value: "hi" },
        { from: "gpt", value: "hello" },
      ],
    },
  ],
  ["alpaca", { instruction: "Add", input: "1 2", output: "3" }],
  ["alpaca-prompt", { instruction: "Add", input: "", output: "3" }, { format: "alpaca-prompt" }],
  ["prompt-completion", { prompt: "1 + 1 =", completion: " 2" }],
  ["question-answer", { question: "Who?", answer: "Nobody." }],
  ["text", { text: "A plain text, \n\n with blanks." }],
];

/** SHA-256 of tokens and labels of one row of every form. If it changes, raise ENCODER_VERSION with it: caches hold the old tokens. */
const GOLDEN = { version: "1", tokens: "5ef5178805b95efad54c7a2590fbd76ed2e1797eff44ceae34362b58c41daa06" };

test("the same rows become the same tokens and labels as long as the encoder's version stays", async () => {
  const tokenizer = createTokenizer(
    {
      tokenizer: JSON.parse(readFileSync(new URL("../../vectors/tokenizers/llama3.tokenizer.json", import.meta.url), "utf8")),
      config: {
        bos_token: "<s>",
        eos_token: "</s>",
        chat_template:
          "{% if tools %}{{ tools | tojson }}{% endif %}{% for m in messages %}{{ '<|' + m.role + '|>' + m.content }}{% if m.tool_calls %}{{ m.tool_calls[0].function | tojson }}{% endif %}{{ '<|end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}",
      },
    },
    "llama3",
  );
  const hash = createHash("sha256");
  for (const [name, row, options] of FORMS) {
    const path = join(folder, `${name}.jsonl`);
    writeFileSync(path, JSON.stringify(row));
    const { examples } = await loadDataset({ files: [path], maxLength: 300, ...options }, tokenizer);
    expect(examples.length, name).toBe(1);
    for (const { inputIds, labels } of examples) hash.update(JSON.stringify([name, Array.from(inputIds), Array.from(labels)]));
  }
  expect({ version: encoderIdentity()[0], tokens: hash.digest("hex") }, "tokens changed: raise ENCODER_VERSION").toEqual(GOLDEN);
});

test("another version of this package, or of what makes tokens, is other code", () => {
  const own = { version: "1.0.0", dependencies: { "@huggingface/jinja": "0.5.11", zod: "4.0.0" } };
  const others = [
    { ...own, version: "1.0.1" },
    { ...own, dependencies: { ...own.dependencies, "@huggingface/jinja": "0.5.12" } },
  ];
  for (const other of others) expect(encoderIdentity(other)).not.toEqual(encoderIdentity(own));
  expect(encoderIdentity({ ...own, dependencies: { ...own.dependencies, zod: "4.0.1" } })).toEqual(encoderIdentity(own));
  expect(encoderIdentity().every((part) => !part.includes("undefined"))).toBe(true);
});
