import { describe, expect, it } from "vitest";
import { HeirloomError } from "../../core/index.ts";
import type { StepEvent, TrainingEvent } from "../../train/index.ts";
import { fakeTerminal } from "../fixtures/fake-terminal.ts";
import { escapeName } from "./escape.ts";
import { paint, progressOn, renderError, renderJson, renderTable } from "./index.ts";

const CONTROL = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/;
const plain = paint(false);

const step = (number: number, elapsedSeconds: number): StepEvent => ({
  type: "step",
  step: number,
  steps: 100,
  loss: 2.34567,
  learningRates: { default: 2e-4, embeddings: 2e-5 },
  gradNorm: 0.5234,
  tokens: 512,
  tokensPerSecond: 1412.4,
  elapsedSeconds,
  remainingSeconds: 75,
  rssBytes: 2 ** 30,
});

describe("escapeName", () => {
  it("shows control characters instead of sending them", () => {
    expect(escapeName("a\u001b[2J\n\u009bb\u202e\ud800é")).toBe("a\\u001b[2J\\u000a\\u009bb\\u202e\\ud800é");
  });
});

describe("renderTable and renderJson", () => {
  it("puts numbers to the right, and wide characters under each other", () => {
    const table = renderTable(
      [{ title: "name" }, { title: "count", align: "right" }],
      [
        ["日本", "1"],
        ["plain", "1,000"],
      ],
      plain,
    );
    expect(table).toBe("name   count\n日本       1\nplain  1,000");
  });

  it("keeps the exact JSON of numbers, and says which version of the schema it is first", () => {
    expect(renderJson({ a: 1134559232 })).toBe('{\n  "schemaVersion": 1,\n  "a": 1134559232\n}\n');
  });
});

describe("renderError", () => {
  it("counts the problems beyond what a person reads", () => {
    const problems = Array.from({ length: 60 }, (_, row) => ({ code: "JSONL_INVALID" as const, message: `row ${row}` }));
    const [first, ...rest] = problems;
    if (first === undefined) return;
    const text = renderError(HeirloomError.of([first, ...rest]), plain);
    expect(text).toContain("… and 10 more");
    expect(text).toContain("JSONL_INVALID, exit 11");
  });
});

describe("progressOn", () => {
  const lines = (events: TrainingEvent[], isTTY: boolean, columns = 200): string => {
    const terminal = fakeTerminal({ isTTY, columns, env: { NO_COLOR: "1" } });
    const progress = progressOn(terminal.stderr, terminal.env);
    for (const event of events) progress.event(event);
    progress.end();
    return terminal.err();
  };

  it("writes plain lines without a terminal, at most one a second for steps", () => {
    const text = lines([step(1, 0.1), step(2, 0.4), step(3, 1.2), step(100, 1.3)], false);
    expect(text.split("\n").map((line) => line.split("  ")[0])).toEqual(["step 1/100", "step 3/100", "step 100/100", ""]);
    expect(text.split("\n")[0]).toBe(
      "step 1/100  loss 2.3457  lr default 2e-4, embeddings 2e-5  grad 0.523  1,412 tokens/s  0.1s, 1m 15s left  1.00 GiB",
    );
    expect(text).not.toMatch(CONTROL);
  });

  it("draws one line over on a terminal, and clears it before anything that stays", () => {
    const text = lines([step(1, 1), step(2, 2), { type: "checkpoint", step: 2, path: "runs/a/checkpoint-2" }], true);
    expect(text).toMatch(/^\rstep 1\/100.*\u001b\[K\rstep 2\/100.*\u001b\[K\r\u001b\[Kcheckpoint after step 2 in runs\/a\/checkpoint-2\n$/);
  });

  it("cuts the drawn line to the width of the terminal", () => {
    const [, drawn = ""] = lines([step(1, 1)], true, 30).split("\r");
    expect(drawn.replace("\u001b[K", "")).toHaveLength(29);
  });

  it("has words for every event, with names escaped", () => {
    const counts = { trainable: 1, frozen: 1, all: 2, percent: 50, lora: 1, fullCopies: 0, bias: 0, magnitude: 0, base: 1, embeddings: 0 };
    const text = lines(
      [
        { type: "started", kind: "resume", run: "runs/a\u0007", base: "m", steps: 100, fromStep: 40 },
        {
          type: "ledger",
          banner: "trainable params: 1 || all params: 2 || trainable%: 50.0000",
          counts,
          rows: [
            {
              role: "lora_A",
              kind: "q_proj\u001b[0m",
              dtype: "F32",
              tensors: 2,
              parameters: 1024,
              bytes: 4096,
              trainable: true,
              group: "default",
            },
          ],
        },
        { type: "evaluation", step: 0, dataset: "old\u0007", loss: 2, perplexity: 7.389, tokens: 1234 },
        { type: "liveness", step: 3, ok: true, tensors: ["a", "b"] },
        { type: "liveness", step: 3, ok: false, tensors: ["a\u0007", "b", "c", "d", "e", "f", "g"] },
        { type: "note", message: "3 rows were cut" },
        { type: "sample", prompt: "Define water.\n", text: " a liquid\u0007\r\nstep 9/9" },
        { type: "gate", step: 4, ok: true, dataset: "qa", metric: "exactMatch", condition: "must rise", before: 0.5, after: 0.75 },
        { type: "gate", step: 4, ok: false, dataset: "held", metric: "loss", condition: "must fall", before: 1, after: 2 },
        { type: "finished", step: 100, steps: 100, seconds: 60, tokens: 1000, run: "runs/a", adapter: "runs/a/adapter" },
      ],
      false,
    );
    expect(text).not.toMatch(CONTROL);
    expect(text).toMatchInlineSnapshot(`
      "resuming m: 100 updates from step 40, recorded in runs/a\\u0007
      role    module           dtype  tensors  parameters  bytes in memory  state    group
      lora_A  q_proj\\u001b[0m  F32          2       1,024         4.00 KiB  trained  default
      trainable params: 1 || all params: 2 || trainable%: 50.0000
      eval after step 0  old\\u0007  loss 2.0000  perplexity 7.39  (1,234 tokens)
      alive after step 3: all 2 trainable tensors got a gradient and moved, and no other did
      not alive after step 3: a\\u0007, b, c, d, e and 2 more
      note 3 rows were cut
      sample Define water.⏎ a liquid\\u0007⏎step 9/9
      gate passed  qa  exact match must rise: 50.0 % → 75.0 %
      done: 100 of 100 updates, 1,000 tokens in 1m 0s; adapter in runs/a/adapter
      "
    `);
  });
});

describe("a table on a narrow terminal", () => {
  const columns = [{ title: "tensor" }, { title: "elements", align: "right" as const }, { title: "state" }];
  const name = "base_model.model.model.layers.31.self_attn.q_proj.lora_A.weight";

  it("breaks the widest text into further lines and loses nothing", () => {
    const lines = renderTable(columns, [[name, "1,134,559,232", "trained"]], plain, 50).split("\n");
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(50);
    expect(
      lines
        .slice(1)
        .map((line) => line.split("  ")[0]?.trim())
        .join(""),
    ).toBe(name);
    expect(lines[1]).toMatch(/ +1,134,559,232 +trained$/);
  });

  it("keeps each row on one line where there is no width", () => {
    expect(renderTable(columns, [[name, "1", "trained"]], plain).split("\n")).toHaveLength(2);
  });
});
