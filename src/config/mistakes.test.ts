import { describe, expect, it } from "vitest";
import { isHeirloomError, type Problem } from "../core/index.ts";
import { type ConfigSources, parseValue, resolveConfig } from "./index.ts";

const SMALL = "base: model\ndata:\n  train: rows.jsonl\n";

function problemsOf(sources: ConfigSources): readonly Problem[] {
  try {
    resolveConfig(sources);
  } catch (error) {
    if (isHeirloomError(error)) return error.problems;
    throw error;
  }
  throw new Error("expected an error");
}
const fromFile = (text: string, path = "/work/run.yaml") => problemsOf({ file: { path, text } });
const set = (key: string, value: unknown) => ({ key, value, flag: `--set ${key}` });

describe("a mistake that people make", () => {
  it.each([
    ["adapter.r", "adapter.rank"],
    ["adapter.lora_alpha", "adapter.alpha"],
    ["adapter.target_modules", "adapter.targetModules"],
    ["adapter.lora_dropout", "adapter.dropout"],
    ["adapter.modules_to_save", "adapter.modulesToSave"],
    ["training.learning_rate", "training.learningRate"],
    ["training.per_device_train_batch_size", "training.batchSize"],
    ["training.gradient_accumulation_steps", "training.accumulation"],
    ["r", "adapter.rank"],
    ["rank", "adapter.rank"],
    ["batchSize", "training.batchSize"],
    ["data.max_seq_length", "data.maxLength"],
    ["base_model", "base"],
  ])("is another tool's name, or ours in the wrong table: %s means %s", (key, meant) => {
    const [problem] = problemsOf({ file: { path: "/work/run.yaml", text: SMALL }, flags: [set(key, 1)] });
    expect(problem).toMatchObject({ code: "CONFIG_UNKNOWN_KEY", hint: `did you mean ${meant}?`, details: { nearest: meant } });
  });

  it("is a missing key: the hint says where it can be given", () => {
    const [base, train] = problemsOf({});
    expect(base?.hint).toBe("give it with --base PATH, or in a run file: -c run.yaml");
    expect(train?.hint).toBe("give it with --set data.train=…, or in a run file: -c run.yaml");
    expect(fromFile("data: {train: a.jsonl}\n")[0]?.hint).toBe("add base to /work/run.yaml, or give it with --base PATH");
  });

  it.each([
    ["two rows", '{"prompt": "a", "completion": "b"}\n{"prompt": "c", "completion": "d"}\n', "rows.txt"],
    ["one row in a file of that name", '{"text": "a"}\n', "rows.jsonl"],
  ])("is a data file in place of a run file, told in one line: %s", (_what, text, path) => {
    expect(fromFile(text, path)).toEqual([
      {
        code: "CONFIG_SYNTAX",
        message: "expected a run file (YAML or JSON), found JSON Lines, which is the form of training data",
        where: path,
        hint: `name it as data: --set data.train=${path}`,
      },
    ]);
  });

  it("is not a run file in JSON on one line", () => {
    expect(resolveConfig({ file: { path: "run.json", text: '{"base": "m", "data": {"train": "a.jsonl"}}\n' } }).config.base).toBe("m");
    expect(parseValue('{"a": 1}', "--set x")).toEqual({ a: 1 });
  });

  it.each([
    ["a share", "warmupRatio: 0.03", "training.warmupRatio", "5:3"],
    ["a count", "warmupSteps: 1", "training.warmupSteps", "5:3"],
  ])("is a run whose only update has rate 0, by its warm-up as %s", (_how, line, key, place) => {
    const [problem] = fromFile(`${SMALL}training:\n  ${line}\n  steps: 1\n`);
    expect(problem).toMatchObject({
      code: "CONFIG_INVALID",
      where: `/work/run.yaml:${place}`,
      hint: expect.stringContaining(`${key} to 0`),
    });
  });

  it("is a rate of 0 for everything; 0 for everything but a group is none", () => {
    const text = `${SMALL}training:\n  learningRate: 0\n`;
    expect(fromFile(text)).toEqual([expect.objectContaining({ code: "CONFIG_INVALID", where: "/work/run.yaml:5:3" })]);
    const grouped = `${text}  groups: [{ name: head, match: lm_head, learningRate: 1e-4 }]\n`;
    expect(resolveConfig({ file: { path: "run.yaml", text: grouped } }).config.training.learningRate).toBe(0);
  });

  it.each([[{ rank: 8 }], [[{ rank: 8 }]], ["--rank 8"]])("is a call with flags of another shape: %j", (flags) => {
    // As a caller without types may write it.
    const sources = { file: { path: "run.yaml", text: SMALL }, flags } as unknown as ConfigSources;
    expect(problemsOf(sources)).toEqual([expect.objectContaining({ code: "CONFIG_INVALID", where: "flags" })]);
  });
});

describe("a preset beside inherited values", () => {
  const preset = { path: "preset small", text: "adapter: {rank: 8, alpha: 16}\nquantization: nf4\ntraining: {batchSize: 1, groups: []}\n" };
  const values = {
    quantization: "nf4",
    adapter: { rank: 4, alpha: 16 },
    training: { batchSize: 8, groups: [{ name: "a", match: ["b"], weightDecay: 1 }] },
  };
  const own = ["adapter.rank", "adapter.alpha", "quantization", "training.groups", "adapter.dropout"];

  it("ranks below what an adapter says of itself, above what else is inherited, and tells what it lost", () => {
    const { config, provenance, displaced } = resolveConfig({
      file: { path: "run.yaml", text: SMALL },
      preset,
      inherited: { name: "a", values, own },
    });
    expect(config.adapter).toMatchObject({ rank: 4, alpha: 16 });
    expect(config.training).toMatchObject({ batchSize: 1, groups: [{ name: "a" }] });
    expect(provenance).toMatchObject({ "adapter.rank": "inherited", "training.batchSize": "preset", "training.groups": "inherited" });
    expect(displaced).toEqual({ "adapter.rank": 8, "training.groups": [] });
  });

  it("leaves file and flags above both", () => {
    const { config, displaced } = resolveConfig({
      file: { path: "run.yaml", text: `${SMALL}adapter: {alpha: 2}\n` },
      flags: [set("adapter.rank", 2)],
      preset,
      inherited: { name: "a", values, own },
    });
    expect(config.adapter).toMatchObject({ rank: 2, alpha: 2 });
    expect(displaced).toHaveProperty(["adapter.rank"], 8);
  });
});
