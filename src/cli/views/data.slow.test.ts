import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { fakeTerminal } from "../fixtures/fake-terminal.ts";
import { runCli } from "../run.ts";

const folder = mkdtempSync(join(tmpdir(), "heirloom-data-cli-"));
afterAll(() => rmSync(folder, { recursive: true }));

const CHATML =
  "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
const tokenizer = readFileSync(new URL("../../../vectors/tokenizers/llama3.tokenizer.json", import.meta.url));
writeFileSync(join(folder, "tokenizer.json"), tokenizer);
writeFileSync(join(folder, "tokenizer_config.json"), JSON.stringify({ bos_token: "<s>", eos_token: "</s>", chat_template: CHATML }));

function file(name: string, ...rows: (object | string)[]): string {
  writeFileSync(join(folder, name), rows.map((row) => (typeof row === "string" ? row : JSON.stringify(row))).join("\n"));
  return join(folder, name);
}
const asked = (question: string, answer: string) => ({ instruction: question, output: answer });

async function run(...line: string[]): Promise<{ code: number; out: string }> {
  const terminal = fakeTerminal();
  const code = await runCli(line, terminal);
  return { code, out: terminal.out().replaceAll(`${folder}/`, "") + terminal.err().replaceAll(`${folder}/`, "") };
}

describe("data show", () => {
  it("prints what a file is and its rows with what is trained between marks", async () => {
    const path = file("rows.jsonl", { ...asked("Hi", "Hello"), id: 1 }, { instruction: 3, output: "x" });
    const { code, out } = await run("data", "show", path, "--tokenizer", folder);
    expect([code, out]).toMatchInlineSnapshot(`
      [
        0,
        "rows.jsonl: jsonl, rows of the form alpaca
        JSON objects; "instruction" and "output"
        not used id (1)
      ── row 1 18 tokens, 4 trained
      <|im_start|>user
      Hi<|im_end|>
      <|im_start|>assistant
      ⟦Hello<|im_end|>⟧
      ── row 2
      error expected text in "instruction", found 3

      trained text is between ⟦ and ⟧; tokens of tokenizer.json
      ",
      ]
    `);
  });

  it("shows rows as they stand without a tokenizer", async () => {
    const path = file("plain.jsonl", asked("Hi", "Hello"));
    expect((await run("data", "show", path)).out).toContain("[user] Hi\n[assistant] ⟦Hello⟧\n");
  });

  it("takes columns under other names, and refuses fields that no form has", async () => {
    const path = file("qa.csv", "q,a", "One?,two");
    expect((await run("data", "show", path, "--columns", "prompt=q,completion=a")).out).toContain("One?⟦two⟧");
    expect(await run("data", "show", path, "--columns", "promt=q")).toMatchObject({
      code: 11,
      out: expect.stringContaining("did you mean prompt?") as string,
    });
    expect((await run("data", "show", path, "--columns", "q")).code).toBe(2);
    const { out } = await run("data", "show", path, "--columns", "prompt=qq,completion=a");
    expect(out).toContain('no field "qq", which was to be its prompt; found "q, a"');
  });

  it("says where a file ends that has no row to show", async () => {
    const path = file("two.jsonl", asked("Hi", "Hello"), asked("Ho", "Hello"));
    const past = await run("data", "show", path, "--from", "500");
    expect(past.code).toBe(2);
    expect(past.out).toContain("expected a row that is there, found --from 500: two.jsonl has 2 rows");
    const longer = file("three.jsonl", ...["Hi", "Ho", "Hu"].map((question) => asked(question, "Hello")));
    const both = await run("data", "show", path, longer, "--from", "3");
    expect([both.code, both.out]).toEqual([0, expect.stringContaining("no row to show: the file ends after row 2") as string]);
  });

  it("names --rows for --limit", async () => {
    const path = file("two.jsonl", asked("Hi", "Hello"));
    expect(await run("data", "show", path, "--limit", "1")).toMatchObject({
      code: 2,
      out: expect.stringContaining("did you mean --rows?") as string,
    });
    expect((await run("runs", "list", "--rows", "1")).out).toContain("did you mean --limit?");
  });

  it("names the import for a base that is a GGUF file", async () => {
    const base = file("model.gguf", "GGUF");
    const { out } = await run("data", "show", file("a.jsonl", { text: "a" }), "--base", base);
    expect(out).toContain("heirloom import model.gguf -o model");
    expect((await run("generate", base, "--prompt", "a")).out).toContain("heirloom import model.gguf -o model");
  });

  it("ends with what is wrong if no row can be shown", async () => {
    const path = file("bad.jsonl", { chosen: "a", rejected: "b" });
    expect(await run("data", "show", path)).toMatchObject({ code: 11, out: expect.stringContaining("preference pairs") as string });
  });
});

/** Files with one of everything, and the command that checks them. */
function findingsScene(): string[] {
  const train = file(
    "train.jsonl",
    ...[asked("One?", "Two."), asked("One?", "Two."), asked("one", "two"), asked("Who?", "{{name}}"), asked("Empty?", "")],
    ...[{ instruction: "a", output: 3 }, asked("Long?", "word ".repeat(100)), asked("Leaks?", "Yes, it does")],
  );
  const held = file(
    "held.jsonl",
    asked("Leaks?", "Yes, it does"),
    asked("LEAKS", "yes it does!"),
    asked("Leaks?", "No"),
    asked("Fine?", "Yes"),
  );
  return ["data", "check", train, "--eval", held, "--tokenizer", folder, "--max-length", "80"];
}

describe("data check", () => {
  it("counts as examples only rows that the chat template takes", async () => {
    writeFileSync(join(folder, "strict.jinja"), `{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}${CHATML}`);
    const turns = [
      { role: "user", content: "a" },
      { role: "assistant", content: "b" },
    ];
    const path = file("roles.jsonl", { messages: turns }, { messages: [{ role: "system", content: "s" }, ...turns] });
    const { out } = await run("data", "check", path, "--tokenizer", folder, "--template", join(folder, "strict.jinja"));
    expect(out).toMatch(/rows +2, 1 examples\n/);
  });

  it("says of a broken table what it could read, and calls it neither empty nor of no form", async () => {
    const { out } = await run("data", "check", file("short.csv", "prompt,completion", "One?, two", "Three?"));
    expect(out).toMatch(/rows +1\n/);
    expect(out).not.toContain("empty-file");
    const parquet = (await run("data", "check", file("cut.parquet", "PAR1"))).out;
    expect(parquet).not.toMatch(/form none|; *\n|empty-file/);
  });

  it("finds everything at once, with file and row, and ends with exit code 20", async () => {
    const line = findingsScene();
    const { code, out } = await run(...line);
    expect(code).toBe(20);
    expect(out.split("\n\n").slice(0, 2).join("\n\n")).toMatchInlineSnapshot(`
      "training data
      train.jsonl: jsonl, rows of the form alpaca
        JSON objects; "instruction" and "output"
      rows             8, 7 examples
      tokens           441, 330 trained (74.8 %)
      tokens of a row  16 to 318, median 19, 95 % up to 318
          0– 49 ████████████████████████████████████████ 6 (85.7 %)
         50– 99
        100–149
        150–199
        200–249
        250–299
        300–349 ███████ 1 (14.3 %)

      held-out data
      held.jsonl: jsonl, rows of the form alpaca
        JSON objects; "instruction" and "output"
      rows             4
      tokens           91, 22 trained (24.2 %)
      tokens of a row  19 to 26, median 25, 95 % up to 26
         0– 4
         5– 9
        10–14
        15–19 ████████████████████ 1 (25.0 %)
        20–24 ████████████████████ 1 (25.0 %)
        25–29 ████████████████████████████████████████ 2 (50.0 %)"
    `);
  });

  it("shows under each finding where it is, and what to do", async () => {
    const { out } = await run(...findingsScene());
    expect(out.split("\n\n").slice(2).join("\n\n")).toMatchInlineSnapshot(`
      "error unreadable-row 1 row
        train.jsonl:6: expected text in "output", found 3
      warning duplicate 1 row
        train.jsonl:2: the same as train.jsonl:1
      warning near-duplicate 2 rows
        train.jsonl:3: the same as train.jsonl:1, but for case, spaces and punctuation
        held.jsonl:2: the same as held.jsonl:1, but for case, spaces and punctuation
      warning placeholder 1 row
        train.jsonl:4: the placeholder {{name}} was not filled in
      warning empty-turn 1 row
        train.jsonl:5: turn 2 (assistant) is empty
      error too-long 1 row
        train.jsonl:7: longer than 80 tokens: 318 tokens
        → raise data.maxLength, or set data.onTooLong to truncate or drop
      error leakage 1 row
        held.jsonl:1: is trained on as train.jsonl:8
        → take the row out of one of the sets: a loss on rows that were trained on says nothing
      error near-leakage 1 row
        held.jsonl:2: is trained on as train.jsonl:8, but for case, spaces and punctuation
        → take the row out of one of the sets: a loss on rows that were trained on says nothing
      warning prompt-leakage 1 row
        held.jsonl:3: its prompt is trained on in train.jsonl:8

      there are errors
      "
    `);
  });
});

describe("the border of prompt and completion", () => {
  it("is told where nothing separates them, with the row and what it looks like", async () => {
    const rows = ["One?", "Two?", "Three?"].map((prompt) => ({ prompt, completion: "Yes" }));
    const path = file("touch.jsonl", ...rows, { prompt: "Four? ", completion: "No" }, { prompt: "\u4e00", completion: "\u4e8c" });
    const { code, out } = await run("data", "check", path);
    expect(code).toBe(0);
    expect(out).toContain(
      "warning no-separator 3 rows\n  prompt and completion are joined as they stand, and nothing separates them: 3 rows, the first: One?|Yes\n    touch.jsonl:1, :2, :3\n  → let the completion begin",
    );
    expect((await run("data", "check", file("own.jsonl", asked("One?", "Two.")), "--format", "alpaca-prompt")).out).toContain(
      "nothing is wrong",
    );
  });

  it("is told where it lies inside a token", async () => {
    const path = file("inside.jsonl", { prompt: "Where? ", completion: "\nHere" }, { prompt: "Who? ", completion: "\nMe" });
    const { out } = await run("data", "check", path, "--tokenizer", folder);
    expect(out).toContain("warning border-in-token 2 rows\n  prompt and completion meet inside a token, which is trained whole");
    expect(out).toContain("inside.jsonl:1, :2\n");
  });
});

describe("rows that the form or the weight does not fit", () => {
  it("are told with the form that they look like", async () => {
    const path = file("share.jsonl", {
      conversations: [
        { from: "human", value: "a" },
        { from: "gpt", value: "b" },
      ],
    });
    const { code, out } = await run("data", "show", path, "--format", "alpaca");
    expect(code).toBe(11);
    expect(out).toContain("share.jsonl:1");
    expect(out).toContain("the row looks like sharegpt: --format sharegpt");
  });

  it("name the row of a fractional weight, and what to do instead", async () => {
    const messages = [
      { role: "user", content: "a" },
      { role: "assistant", content: "b", loss_weight: 0.5 },
    ];
    const path = file(
      "weights.jsonl",
      { messages: messages.slice(0, 1).concat({ role: "assistant", content: "b" } as never) },
      { messages },
    );
    const { code, out } = await run("data", "check", path);
    expect(code).toBe(20);
    expect(out).toContain('weights.jsonl:2: expected 0 or 1 in "messages[1].loss_weight", found 0.5: a turn is trained or it is not');
    expect(out).toContain("→ set it to 1 (trained) or 0 (not)");
  });
});

describe("data check with --json", () => {
  it("says the same for scripts", async () => {
    const line = findingsScene();
    const { out: json } = await run(...line, "--json");
    expect(JSON.parse(json)).toMatchObject({
      ok: false,
      counts: expect.arrayContaining([{ rule: "leakage", severity: "error", count: 1 }]) as unknown,
      findings: expect.arrayContaining([
        expect.objectContaining({ rule: "unreadable-row", file: "train.jsonl", row: 6, field: "output" }),
      ]) as unknown,
    });
  });

  it("is content with data that are", async () => {
    const path = file("good.jsonl", asked("One?", "Two."), asked("Three?", "Four."));
    expect(await run("data", "check", path)).toMatchObject({ code: 0, out: expect.stringContaining("nothing is wrong") as string });
  });
});
