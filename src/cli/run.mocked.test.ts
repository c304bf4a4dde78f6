import { describe, expect, it, vi } from "vitest";
import { HeirloomError } from "../core/index.ts";
import type { TrainingOptions } from "../train/index.ts";
import { fakeTerminal } from "./fixtures/fake-terminal.ts";
import { runCli } from "./run.ts";

const library = vi.hoisted(() => ({
  checkSampling: vi.fn(),
  train: vi.fn(),
  continueTraining: vi.fn(),
  resume: vi.fn(),
  evaluate: vi.fn(),
  runDemo: vi.fn(),
  generate: vi.fn(),
}));
vi.mock("../train/index.ts", () => library);
vi.mock("../generate/index.ts", () => library);

const RESULT = {
  run: "runs/a",
  adapter: "runs/a/adapter",
  banner: "trainable params: 1 || all params: 2 || trainable%: 50.0000",
  counts: {},
  steps: 3,
  tokens: 300,
  seconds: 2,
  loss: 1.5,
  evaluations: [{ dataset: "old\u001b[31m", before: 2, after: 1 }],
  answers: [],
  samples: [],
  gates: [],
  stopped: null,
  keptStep: 3,
  current: "runs/a/adapter",
};
const MINIMAL = ["--base", "m", "--set", "data.train=a.jsonl"];

describe("help", () => {
  it("lists the commands with examples, on stdout, exit 0", async () => {
    const terminal = fakeTerminal();
    expect(await runCli(["--help"], terminal)).toBe(0);
    for (const name of ["demo", "train", "continue", "resume", "inspect", "diff", "eval", "generate"])
      expect(terminal.out()).toContain(name);
    expect(terminal.out()).toContain("heirloom continue runs/a -c more.yaml");
    expect(terminal.err()).toBe("");
  });

  it.each(["demo", "train", "continue", "resume", "inspect", "diff", "eval", "generate"])(
    "of %s has a real example and the shared flags",
    async (name) => {
      const terminal = fakeTerminal();
      expect(await runCli([name, "--help"], terminal)).toBe(0);
      expect(terminal.out()).toMatch(new RegExp(`Examples:\\n  heirloom ${name} ?`));
      expect(terminal.out()).toContain("--json");
      expect(terminal.out()).toContain("--quiet");
    },
  );

  it("is also what no arguments print", async () => {
    const terminal = fakeTerminal();
    expect(await runCli([], terminal)).toBe(0);
    expect(terminal.out()).toContain("Examples:");
  });

  it.each([[["--help", "train"]], [["-h", "train"]], [["help", "train"]]])("of a command is also what %j prints", async (inputs) => {
    const terminal = fakeTerminal();
    expect(await runCli(inputs, terminal)).toBe(0);
    expect(terminal.out()).toContain("heirloom train -c run.yaml --rank 32");
  });

  it("has colour only on a terminal without NO_COLOR", async () => {
    const texts = [];
    for (const options of [{ isTTY: true }, { isTTY: true, env: { NO_COLOR: "1" } }, { isTTY: false }]) {
      const terminal = fakeTerminal(options);
      await runCli(["train", "--help"], terminal);
      texts.push(terminal.out().includes("\u001b["));
    }
    expect(texts).toEqual([true, false, false]);
  });

  it("prints the version", async () => {
    const terminal = fakeTerminal();
    expect(await runCli(["--version"], terminal)).toBe(0);
    expect(terminal.out()).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

describe("usage errors", () => {
  it.each([
    [["trian"], 'unknown command "trian"', "heirloom train"],
    [["train", "--confg", "a"], "unknown flag --confg", "--config"],
    [["train", "--learning-rat", "1"], "unknown flag --learning-rat", "--learning-rate"],
    [["train", "--formt", "text"], "unknown flag --formt", "--format"],
    [["continue", "a", "--column", "prompt=q"], "unknown flag --column", "--columns"],
    [["train", "--no-cach"], "unknown flag --no-cach", "--no-cache"],
    [["train", "--format", "alpca"], "--format: expected one of text, prompt-completion, alpaca", "alpaca"],
  ])("%j names the nearest known one, exit 2", async (inputs, message, nearest) => {
    const terminal = fakeTerminal();
    expect(await runCli(inputs, terminal)).toBe(2);
    expect(terminal.err()).toContain(message);
    expect(terminal.err()).toContain(`did you mean ${nearest}?`);
    expect(terminal.out()).toBe("");
  });

  it.each([
    [["train", "run.yaml"], 'expected no argument of heirloom train, found "run.yaml"', "did you mean -c run.yaml?"],
    [["train", "rows.jsonl"], 'found "rows.jsonl"', "did you mean --set data.train=rows.jsonl?"],
    [["demo", "run.yaml"], 'expected no argument of heirloom demo, found "run.yaml"', "heirloom demo --help says"],
    [["resume", "a", "b"], 'expected one argument of heirloom resume, found also "b"', "heirloom resume --help says"],
    [["diff", "A"], "heirloom diff needs an argument: B", "heirloom diff --help says"],
    [["explain", "trainable params: 1"], "heirloom explain needs --base", "heirloom explain --help says"],
    [["train", "--config"], "--config needs a value", "heirloom train --help says"],
    [["train", "-c"], "--config needs a value", "heirloom train --help says"],
    [["train", "--config", "--steps", "2"], "--config needs a value", "heirloom train --help says"],
    [
      ["train", "--from", "a", "--seed", "1"],
      "--from repeats a run as it was; expected no other flag but --output, found --seed",
      "train -c",
    ],
    [["train", "--from", "a", "--no-cache"], "but --output, found --no-cache", "train -c"],
    [["train", "--columns", "prompt"], '--columns: expected field=column, found "prompt"', "for example --columns"],
    [["runs", "shw"], 'heirloom runs has no command "shw"', "did you mean heirloom runs show?"],
    [["runs", "zzzzz"], 'heirloom runs has no command "zzzzz"', "heirloom runs --help lists"],
    [["runs", "show", "a", "b"], 'expected one argument of heirloom runs show, found also "b"', "heirloom runs show --help says"],
    [["merge", "a"], "heirloom merge needs --output", "heirloom merge --help says"],
  ])("%j say what the command takes, and where to read on", async (inputs, message, hint) => {
    const terminal = fakeTerminal();
    expect(await runCli(inputs, terminal)).toBe(2);
    expect(terminal.err()).toContain(message);
    expect(terminal.err()).toContain(hint);
  });

  it("are one JSON document on stdout with --json", async () => {
    const terminal = fakeTerminal();
    expect(await runCli(["trian", "--json"], terminal)).toBe(2);
    expect(JSON.parse(terminal.out())).toEqual({
      schemaVersion: 1,
      error: {
        code: "USAGE",
        problems: [
          { code: "USAGE", message: 'unknown command "trian"', hint: "did you mean heirloom train?", details: { nearest: "train" } },
        ],
      },
    });
    expect(terminal.err()).toBe("");
  });

  it.each([
    [["resume"]],
    [["resume", "a", "b"]],
    [["train", "-z"]],
    [["generate", "a", "--prompt", "x", "--max-tokens", "many"]],
    [["train", "--json=maybe"]],
    [["generate", "a"]],
  ])("%j exits with 2 and says why", async (inputs) => {
    const terminal = fakeTerminal();
    expect(await runCli(inputs, terminal)).toBe(2);
    expect(terminal.err()).toContain("USAGE, exit 2");
  });

  it("escape what was typed", async () => {
    const terminal = fakeTerminal();
    await runCli(["tr\u001b[2Jain"], terminal);
    expect(terminal.err()).toContain("tr\\u001b[2Jain");
  });
});

describe("results", () => {
  it("go to stdout as text, with names escaped", async () => {
    library.train.mockResolvedValue(RESULT);
    const terminal = fakeTerminal();
    expect(await runCli(["train", ...MINIMAL], terminal)).toBe(0);
    expect(terminal.out()).toContain("runs/a/adapter");
    expect(terminal.out()).toContain("old\\u001b[31m");
    expect(terminal.out()).toContain("-50.0 %");
    expect(terminal.out()).not.toContain("\u001b");
    expect(terminal.err()).toBe("");
  });

  it("are exactly one JSON document with --json, without raw control characters", async () => {
    library.train.mockResolvedValue({ ...RESULT, adapter: "a\u009b\u202e" });
    const terminal = fakeTerminal();
    expect(await runCli(["train", ...MINIMAL, "--json"], terminal)).toBe(0);
    expect(JSON.parse(terminal.out())).toMatchObject({ schemaVersion: 1, adapter: "a\u009b\u202e", steps: 3 });
    expect(terminal.out()).toMatch(/^[\n -~]*$/);
  });

  it("resolve the configuration from flags before anything is trained", async () => {
    library.train.mockResolvedValue(RESULT);
    await runCli(
      ["train", ...MINIMAL, "--preset", "qlora-embeddings", "--rank", "8", "--learning-rate", "1e-5", "--set", "training.accumulation=2"],
      fakeTerminal({ folder: "/w" }),
    );
    const [config, options] = library.train.mock.lastCall as [Record<string, unknown>, TrainingOptions];
    expect(config).toMatchObject({
      base: "/w/m",
      adapter: { rank: 8, modulesToSave: ["embed_tokens", "lm_head"] },
      training: { learningRate: 1e-5, accumulation: 2 },
      data: { train: ["/w/a.jsonl"] },
    });
    expect(options.provenance).toMatchObject({ "adapter.rank": "flag", "adapter.alpha": "preset" });
  });

  it("take how rows are read from flags, in train and continue alike", async () => {
    library.train.mockResolvedValue(RESULT);
    library.continueTraining.mockResolvedValue(RESULT);
    const rows = ["--format", "question-answer", "--columns", "question=q,answer=a", "--tools", "hermes", "--no-cache"];
    await runCli(["train", ...MINIMAL, ...rows], fakeTerminal());
    const [config, { provenance }] = library.train.mock.lastCall as [{ data: object }, TrainingOptions];
    const expected = { format: "question-answer", columns: { question: "q", answer: "a" }, tools: "hermes", cache: false };
    expect(config.data).toMatchObject(expected);
    expect(provenance).toMatchObject({ "data.format": "flag", "data.columns.question": "flag", "data.cache": "flag" });
    await runCli(["continue", "a", ...rows], fakeTerminal());
    const [{ sources }] = library.continueTraining.mock.lastCall as [{ sources: { flags: { key: string; flag: string }[] } }];
    expect(sources.flags.map(({ key, flag }) => [key, flag])).toEqual([
      ["data.format", "--format"],
      ["data.columns", "--columns"],
      ["data.tools", "--tools"],
      ["data.cache", "--no-cache"],
    ]);
  });

  it("carry the changes that a continuation names", async () => {
    library.continueTraining.mockResolvedValue(RESULT);
    await runCli(
      ["continue", "a", "--change", "rank=64", "--change", "groups", "--set", "data.train=b.jsonl"],
      fakeTerminal({ folder: "/w" }),
    );
    const [request] = library.continueTraining.mock.lastCall as [
      { adapter: string; changes: { named: Set<string>; values: object }; sources: { flags: object[] } },
    ];
    expect(request.adapter).toBe("/w/a");
    expect([...request.changes.named]).toEqual(["rank", "groups"]);
    expect(request.changes.values).toEqual({ rank: 64 });
  });

  it("of generate come from models under the names that are given", async () => {
    library.generate.mockRejectedValue(new HeirloomError("INTERRUPTED", "stop here"));
    await runCli(["generate", "old=a/x", "--adapter", "new=b/x", "--adapter", "c", "--prompt", "p"], fakeTerminal({ folder: "/w" }));
    expect(library.generate.mock.lastCall?.[0]).toMatchObject({
      path: "/w/a/x",
      id: "old",
      adapters: [{ id: "new", path: "/w/b/x" }, { path: "/w/c" }],
    });
  });

  it("refuse an unknown change, exit 2", async () => {
    const terminal = fakeTerminal();
    expect(await runCli(["continue", "a", "--change", "rnk=64"], terminal)).toBe(2);
    expect(terminal.err()).toContain("did you mean rank?");
  });

  it("decide the exit code where they hold a verdict", async () => {
    library.runDemo.mockResolvedValue({ ok: false, stages: [] });
    expect(await runCli(["demo"], fakeTerminal())).toBe(21);
  });
});

describe("errors", () => {
  it("list every problem with its place and what to do, and end with the code's exit", async () => {
    library.train.mockRejectedValue(
      HeirloomError.of([
        {
          code: "LEDGER_MISMATCH",
          message: "expected lm_head trainable, found frozen",
          where: "lm_head.weight",
          hint: "heirloom verify a",
        },
        { code: "LEDGER_MISMATCH", message: "second" },
      ]),
    );
    const terminal = fakeTerminal();
    expect(await runCli(["train", ...MINIMAL], terminal)).toBe(12);
    expect(terminal.err()).toBe(
      "error lm_head.weight: expected lm_head trainable, found frozen\n      → heirloom verify a\nerror second\nLEDGER_MISMATCH, exit 12\n",
    );
  });

  it("are told once where they say the same, with their number, their places and the hint that they share", async () => {
    const hint = "give the group a rate above 0";
    const problem = (where: string) => ({ code: "LIVENESS_FAILED" as const, message: "did not move", where, hint });
    library.train.mockRejectedValue(HeirloomError.of([problem("a"), problem("b"), { ...problem("c"), hint: "other" }]));
    const terminal = fakeTerminal();
    expect(await runCli(["train", ...MINIMAL], terminal)).toBe(22);
    expect(terminal.err()).toBe(
      `error did not move (2 times)\n      at a, b\n      → ${hint}\nerror c: did not move\n      → other\nLIVENESS_FAILED, exit 22\n`,
    );
  });

  it("of eval advise in its own flags", async () => {
    const hint = "raise data.maxLength (the longest row has 300 tokens), or set data.onTooLong to truncate or drop";
    library.evaluate.mockRejectedValue(new HeirloomError("DATA_ROW_TOO_LONG", "1 of 2 rows", { hint, details: { longest: 300 } }));
    const terminal = fakeTerminal();
    expect(await runCli(["eval", "a", "--max-length", "8"], terminal)).toBe(10);
    expect(terminal.err()).toContain("→ evaluate with --max-length 300, or");
    expect(terminal.err()).not.toContain("data.maxLength");
  });

  it("report all problems of a configuration at once, exit 10", async () => {
    const terminal = fakeTerminal();
    expect(await runCli(["train", "--json", "--rank", "0", "--set", "adapter.alhpa=1"], terminal)).toBe(10);
    const { error } = JSON.parse(terminal.out()) as { error: { problems: { message: string }[] } };
    expect(error.problems.map(({ message }) => message)).toEqual(
      expect.arrayContaining([
        expect.stringContaining('"base" is missing'),
        expect.stringContaining("adapter.rank: expected"),
        expect.stringContaining('unknown key "adapter.alhpa"'),
      ]),
    );
  });

  it.each([
    [["train", "-c", "missing.yaml"], 11, "FILE_MISSING"],
    [["train", "--preset", "qlra"], 10, "did you mean qlora?"],
  ])("%j", async (inputs, exit, text) => {
    const terminal = fakeTerminal({ folder: "/nowhere" });
    expect(await runCli(inputs, terminal)).toBe(exit);
    expect(terminal.err()).toContain(text);
  });

  it("that nobody foresaw are faults of ours, exit 70, without a stack unless asked for", async () => {
    library.train.mockRejectedValue(new TypeError("x is not a function"));
    const terminal = fakeTerminal();
    expect(await runCli(["train", ...MINIMAL], terminal)).toBe(70);
    expect(terminal.err()).toContain("internal error: TypeError: x is not a function");
    expect(terminal.err()).not.toContain("    at ");
    const debug = fakeTerminal({ env: { HEIRLOOM_DEBUG: "1" } });
    await runCli(["train", ...MINIMAL], debug);
    expect(debug.err()).toContain("    at ");
  });
});

describe("Ctrl-C", () => {
  it("first asks for a checkpoint, exits 130 and says how to resume", async () => {
    const terminal = fakeTerminal();
    library.train.mockImplementation(
      (_config: unknown, { signal }: TrainingOptions) =>
        new Promise((_resolve, reject) => {
          signal?.addEventListener("abort", () =>
            reject(new HeirloomError("INTERRUPTED", "stopped after step 7, checkpoint written", { hint: "heirloom resume runs/a" })),
          );
          terminal.interrupt();
        }),
    );
    expect(await runCli(["train", ...MINIMAL], terminal)).toBe(130);
    expect(terminal.err()).toContain("a checkpoint is written first");
    expect(terminal.err()).toContain("→ heirloom resume runs/a");
    expect(terminal.ended).toBe(false);
    expect(terminal.listeners()).toBe(0);
  });

  it("pressed twice ends the process at once", async () => {
    const terminal = fakeTerminal();
    library.train.mockImplementation(() => {
      terminal.interrupt();
      terminal.interrupt();
      return Promise.resolve(RESULT);
    });
    await runCli(["train", ...MINIMAL], terminal);
    expect(terminal.ended).toBe(true);
  });
});
