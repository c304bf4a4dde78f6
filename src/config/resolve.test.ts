import { describe, expect, it } from "vitest";
import { isHeirloomError, type Problem } from "../core/index.ts";
import { absolutePaths, type ConfigSources, learningRateGroups, parseSetFlag, resolveConfig, runJsonSchema } from "./index.ts";

const SMALL = "base: model\ndata:\n  train: rows.jsonl\n";
const fromFile = (text: string, more: Partial<ConfigSources> = {}) => resolveConfig({ file: { path: "/work/run.yaml", text }, ...more });

function problemsOf(run: () => unknown): readonly Problem[] {
  try {
    run();
  } catch (error) {
    if (isHeirloomError(error)) return error.problems;
    throw error;
  }
  throw new Error("expected an error");
}

describe("resolveConfig", () => {
  it("fills every key with its default and says so", () => {
    const { config, provenance } = fromFile(SMALL);
    expect(config.adapter).toMatchObject({ rank: 16, alpha: 16, dropout: 0, targetModules: "all-linear", modulesToSave: [], layers: null });
    expect(config.quantization).toEqual({ type: "nf4", doubleQuant: true });
    expect(config.training).toMatchObject({ steps: null, epochs: 1, learningRate: 2e-4, schedule: "linear" });
    expect(provenance).toMatchObject({
      base: "file",
      "data.train": "file",
      "adapter.rank": "default",
      "training.epochs": "default",
      output: "default",
    });
  });

  it("prefers flags over the file over the preset over inherited values over defaults", () => {
    const { config, provenance } = fromFile(`${SMALL}adapter: {rank: 8, alpha: 32}\n`, {
      flags: [{ key: "adapter.rank", value: 64, flag: "--rank" }],
      preset: { path: "preset small", text: "adapter: {rank: 4, alpha: 4, dropout: 0.1}" },
      inherited: { name: "adapter /a", values: { adapter: { dropout: 0.5, modulesToSave: ["lm_head"] } } },
    });
    expect(config.adapter).toMatchObject({ rank: 64, alpha: 32, dropout: 0.1, modulesToSave: ["lm_head"] });
    expect(provenance).toMatchObject({
      "adapter.rank": "flag",
      "adapter.alpha": "file",
      "adapter.dropout": "preset",
      "adapter.modulesToSave": "inherited",
      "adapter.init": "default",
    });
  });

  it("lets a stronger steps displace a weaker epochs, and a stronger warm-up ratio the steps", () => {
    const { config } = fromFile(`${SMALL}training: {epochs: 3, warmupSteps: 5}\n`, {
      flags: [
        { key: "training.steps", value: 10, flag: "--steps" },
        { key: "training.warmupRatio", value: 0.1, flag: "--set training.warmupRatio" },
      ],
    });
    expect(config.training).toMatchObject({ steps: 10, epochs: null, warmupSteps: null, warmupRatio: 0.1 });
  });

  it("attributes keys inside a short form to the place of the short form", () => {
    const { config, provenance } = fromFile(`${SMALL}quantization: nf4\n`);
    expect(config.quantization).toEqual({ type: "nf4", doubleQuant: true });
    expect(provenance["quantization.doubleQuant"]).toBe("file");
  });

  it.each(["1e-5", "1E-5", "1.0e-05", "0.00001", ".1e-4"])("reads the learning rate %s as a number", (text) => {
    expect(fromFile(`${SMALL}training: {learningRate: ${text}}\n`).config.training.learningRate).toBeCloseTo(1e-5, 12);
    expect(parseSetFlag(`training.learningRate=${text}`).value).toBeCloseTo(1e-5, 12);
  });

  it("resolves paths in a file against the file, and paths in flags against the working folder", () => {
    const text = "base: ../models/m\noutput: runs\ndata:\n  train: [a.jsonl, /abs/b.jsonl]\n  eval: {old: x/../o.jsonl, new: [n.jsonl]}\n";
    const { config } = resolveConfig({
      file: { path: "conf/sub/run.yaml", text },
      flags: [{ key: "data.template", value: "t.jinja", flag: "--set" }],
      folder: "/cwd",
    });
    expect(config.base).toBe("conf/models/m");
    expect(config.output).toBe("conf/sub/runs");
    expect(config.data.train).toEqual(["conf/sub/a.jsonl", "/abs/b.jsonl"]);
    expect(config.data.eval).toEqual({ old: ["conf/sub/o.jsonl"], new: ["conf/sub/n.jsonl"] });
    expect(config.data.template).toBe("/cwd/t.jinja");
    expect(resolveConfig({ file: { path: "run.yaml", text: "base: hf://a/b\ndata: {train: x}" } }).config.base).toBe("hf://a/b");
  });

  it("puts runs into the working folder by default", () => {
    expect(fromFile(SMALL, { folder: "/cwd" }).config.output).toBe("/cwd/runs");
  });

  it("reports all problems at once, each with file, line and column", () => {
    const problems = problemsOf(() =>
      fromFile(
        "base: model\nadapter:\n  rnak: 8\n  rank: 0\ntraining:\n  learningRate: fast\n  lerningRate: 1\ndata:\n  train: a.jsonl\n  packing: yes\n",
      ),
    );
    expect(problems.map(({ code, where }) => `${code} ${where ?? ""}`).sort()).toEqual([
      "ADAPTER_RANK_INVALID /work/run.yaml:4:3",
      "CONFIG_INVALID /work/run.yaml:10:3",
      "CONFIG_INVALID /work/run.yaml:6:3",
      "CONFIG_UNKNOWN_KEY /work/run.yaml:3:3",
      "CONFIG_UNKNOWN_KEY /work/run.yaml:7:3",
    ]);
    const text = problems.map(({ message, hint }) => `${message} ${hint ?? ""}`).join("\n");
    expect(text).toContain('unknown key "adapter.rnak" did you mean adapter.rank?');
    expect(text).toContain('unknown key "training.lerningRate" did you mean training.learningRate?');
    expect(text).toContain('training.learningRate: expected a number, found "fast"');
    expect(text).toContain('data.packing: expected true or false, found "yes"');
  });

  it("names the keys that are missing", () => {
    const problems = problemsOf(() => resolveConfig({ file: { path: "run.yaml", text: "" } }));
    expect(problems.map(({ message }) => message)).toEqual([
      '"base" is missing; expected text',
      expect.stringContaining('"data.train" is missing; expected text or a list'),
    ]);
  });

  it("blames a flag or a preset for its own value", () => {
    expect(problemsOf(() => fromFile(SMALL, { flags: [{ key: "adapter.rank", value: -1, flag: "--rank" }] }))).toMatchObject([
      { code: "ADAPTER_RANK_INVALID", where: "--rank", message: "adapter.rank: expected more than 0, found -1" },
    ]);
    expect(problemsOf(() => fromFile(SMALL, { flags: [parseSetFlag("training.sede=1")] }))).toMatchObject([
      { code: "CONFIG_UNKNOWN_KEY", where: "--set training.sede", hint: "did you mean training.seed?" },
    ]);
    expect(problemsOf(() => fromFile(SMALL, { preset: { path: "preset bad", text: "training: {seed: -1}" } }))).toMatchObject([
      { where: "preset bad:1:12" },
    ]);
  });

  it("says what a value of several forms may be, and looks inside the form that was meant", () => {
    expect(problemsOf(() => fromFile(`${SMALL}quantization: int8\n`))).toMatchObject([
      { message: 'quantization: expected nf4, none or a table of keys, found "int8"', where: "/work/run.yaml:4:1" },
    ]);
    expect(problemsOf(() => fromFile(`${SMALL}quantization: {type: nf4, dobleQuant: true}\n`))).toMatchObject([
      { code: "CONFIG_UNKNOWN_KEY", hint: "did you mean quantization.doubleQuant?" },
    ]);
  });

  it("gives the line of a wrong item in a list", () => {
    const problems = problemsOf(() =>
      fromFile(`${SMALL}training:\n  groups:\n    - name: embeddings\n      match: [embed_tokens]\n      learningRate: low\n`),
    );
    expect(problems).toMatchObject([
      { where: "/work/run.yaml:8:7", message: 'training.groups[0].learningRate: expected a number, found "low"' },
    ]);
  });

  it("reports broken YAML with its place", () => {
    expect(problemsOf(() => fromFile("base: [a\nb: 1\n"))[0]).toMatchObject({
      code: "CONFIG_SYNTAX",
      where: expect.stringMatching(/^\/work\/run\.yaml:\d+:\d+$/) as unknown,
    });
    expect(problemsOf(() => fromFile("base: a\nbase: b\n"))).toMatchObject([{ code: "CONFIG_SYNTAX", where: "/work/run.yaml:2:1" }]);
    expect(problemsOf(() => fromFile("- a\n"))).toMatchObject([
      { code: "CONFIG_SYNTAX", message: "expected a table of keys and values, found a list" },
    ]);
  });

  it("survives alias bombs, deep nesting and prototype keys with typed errors only", () => {
    const bomb = `a: &a [${"x,".repeat(20)}]\n${Array.from({ length: 12 }, (_, i) => `b${i}: &b${i} [${`*${i === 0 ? "a" : `b${i - 1}`},`.repeat(20)}]`).join("\n")}\n`;
    expect(problemsOf(() => fromFile(bomb))[0]?.code).toBe("CONFIG_SYNTAX");
    expect(problemsOf(() => fromFile(`base: ${"[".repeat(20_000)}`))[0]?.code).toBe("CONFIG_SYNTAX");
    expect(problemsOf(() => fromFile(`${SMALL}__proto__: {polluted: 1}\n`))).toMatchObject([{ code: "CONFIG_UNKNOWN_KEY" }]);
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
  });

  it.each([
    ["adapter: none", "leaves nothing to train"],
    ["fullParameter: true\nquantization: none", "no place for an adapter"],
    ["fullParameter: true\nadapter: none", "expected quantization: none"],
    ["training: {steps: 5, epochs: 1}", "steps and epochs both"],
    ["training: {steps: 5, warmupSteps: 9}", "does not end within"],
    ["training: {groups: [{name: default, match: [a], learningRate: 1}]}", "cannot be called"],
    ["training: {groups: [{name: g, match: [a], learningRate: 1, learningRateRatio: 1}]}", "a learningRate and a learningRateRatio"],
    ["training: {groups: [{name: g, match: [a]}]}", "sets nothing"],
    ["evaluation: {everySteps: 5}", "no data to evaluate on"],
  ])("refuses %s", (text, message) => {
    const [problem] = problemsOf(() => fromFile(`${SMALL}${text}\n`));
    expect(problem?.message).toContain(message);
    expect(problem?.where).toMatch(/^\/work\/run\.yaml:\d+:\d+$/);
  });

  it("works out the rates of groups", () => {
    const { config } = fromFile(
      `${SMALL}training:\n  learningRate: 1e-3\n  groups:\n    - {name: embeddings, match: embed_tokens, learningRateRatio: 0.1}\n    - {name: head, match: [lm_head], learningRate: 5e-5, weightDecay: 0.1}\n`,
    );
    expect(learningRateGroups(config.training)).toEqual([
      { name: "embeddings", match: ["embed_tokens"], learningRate: 1e-4, weightDecay: 0 },
      { name: "head", match: ["lm_head"], learningRate: 5e-5, weightDecay: 0.1 },
    ]);
  });
});

describe("absolutePaths", () => {
  it("makes what is recorded independent of the folder that a process was started in", () => {
    const { config } = resolveConfig({ file: { path: "run.yaml", text: `${SMALL}  eval: { held: [hf://a/b, held.jsonl] }\n` } });
    expect(config).toMatchObject({ base: "model", output: "runs" });
    const absolute = absolutePaths(config, "/work");
    expect(absolute).toMatchObject({ base: "/work/model", output: "/work/runs" });
    expect(absolute.data).toMatchObject({ train: ["/work/rows.jsonl"], eval: { held: ["hf://a/b", "/work/held.jsonl"] }, template: null });
    expect(absolute.training).toEqual(config.training);
  });
});

describe("runJsonSchema", () => {
  it("describes every key, and refuses unknown ones", () => {
    const schema = runJsonSchema() as {
      additionalProperties: boolean;
      required: string[];
      properties: Record<string, { properties?: Record<string, { description?: string }> }>;
    };
    expect(schema.additionalProperties).toBe(false);
    expect(schema.required).toEqual(["base", "data"]);
    for (const [key, part] of Object.entries(schema.properties)) {
      for (const [name, property] of Object.entries(part.properties ?? {})) {
        expect(property.description, `${key}.${name}`).toBeTypeOf("string");
      }
    }
  });
});
