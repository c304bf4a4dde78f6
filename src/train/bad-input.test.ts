import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runJob } from "../core/node/index.ts";
import { type TinyModelOptions, withValues } from "../engine/fixtures/tiny-model.ts";
import { readRunRecord } from "../runs/index.ts";
import { evaluateJob } from "./evaluate-worker.ts";
import { failure, TinyWorkshop, tinyRows } from "./fixtures/tiny-run.ts";

type Values = Readonly<Record<string, unknown>>;
let workshop: TinyWorkshop;
beforeAll(async () => {
  workshop = await TinyWorkshop.open();
});
afterAll(() => {
  workshop.close();
});

const refused = async (values: Values) => failure((async () => workshop.train(values))());
const onBase = async (name: string, options: TinyModelOptions) => refused({ base: await workshop.model(name, options) });

describe("a base model", () => {
  test("that is not there, or lacks its tokenizer, is FILE_MISSING", async () => {
    expect(await refused({ base: workshop.path("nowhere") })).toMatchObject({ code: "FILE_MISSING", exitCode: 11 });
    const base = await workshop.model("no-tokenizer", {});
    rmSync(join(base, "tokenizer.json"));
    expect(await refused({ base })).toMatchObject({ code: "FILE_MISSING", exitCode: 11 });
  });

  test("whose weights are truncated is SAFETENSORS_TRUNCATED", async () => {
    const base = await workshop.model("truncated", {});
    const path = join(base, "model.safetensors");
    writeFileSync(path, readFileSync(path).subarray(0, -7));
    expect(await refused({ base })).toMatchObject({ code: "SAFETENSORS_TRUNCATED", exitCode: 11 });
  });

  test("with NaN and infinite weights, a wrong dtype, a wrong shape and a missing tensor is refused once, with all of them", async () => {
    const error = await onBase("all-wrong", {
      change(name, tensor) {
        if (name === "model.layers.0.mlp.up_proj.weight")
          return withValues(
            tensor,
            tensor.values.map((v, i) => (i === 5 ? Number.NaN : v)),
          );
        if (name === "model.norm.weight")
          return withValues(
            tensor,
            tensor.values.map((v, i) => (i === 0 ? Number.NEGATIVE_INFINITY : v)),
          );
        if (name === "model.layers.1.mlp.up_proj.weight") return { ...tensor, dtype: "I32" };
        if (name === "model.layers.1.mlp.gate_proj.weight") return { ...tensor, shape: [32, 48] };
        return name === "model.layers.1.input_layernorm.weight" ? null : tensor;
      },
    });
    expect(error.exitCode).toBe(11);
    expect(error.problems.map(({ code }) => code).sort()).toEqual([
      "TENSOR_DTYPE",
      "TENSOR_MISSING",
      "TENSOR_NOT_FINITE",
      "TENSOR_NOT_FINITE",
      "TENSOR_SHAPE",
    ]);
    expect(error.message).toContain("element 5 of 1536 is NaN");
  });

  test("of another architecture is refused by its name", async () => {
    const base = await workshop.model("gemma2", {});
    const path = join(base, "config.json");
    writeFileSync(path, readFileSync(path, "utf8").replace('"llama"', '"gemma2"').replace("LlamaForCausalLM", "Gemma2ForCausalLM"));
    expect(await refused({ base })).toMatchObject({ code: "ARCHITECTURE_UNSUPPORTED", exitCode: 12 });
  });

  test("whose tokenizer.json is no tokenizer is TOKENIZER_INVALID", async () => {
    const base = await workshop.model("bad-tokenizer", {});
    writeFileSync(join(base, "tokenizer.json"), '{"version": "1.0", "model": {"type": "Unigram"}}');
    expect(await refused({ base })).toMatchObject({ code: "TOKENIZER_INVALID", exitCode: 11 });
  });

  test("with fewer embedding rows than the tokenizer has ids is TOKENIZER_TOO_LARGE", async () => {
    expect(await onBase("narrow", { config: { vocab_size: 200 } })).toMatchObject({ code: "TOKENIZER_TOO_LARGE", exitCode: 12 });
  });
});

describe("a configuration", () => {
  test("with an unknown key is refused with the nearest known one", async () => {
    const error = await refused({ adapter: { rnak: 4 } });
    expect(error).toMatchObject({ code: "CONFIG_UNKNOWN_KEY", exitCode: 10 });
    expect(error.hint).toContain("rank");
  });

  test("with rank 0 is ADAPTER_RANK_INVALID", async () => {
    expect(await refused({ adapter: { rank: 0 } })).toMatchObject({ code: "ADAPTER_RANK_INVALID", exitCode: 10 });
  });

  test("whose targets or groups match nothing is refused, each named, before the weights are read", async () => {
    const error = await refused({ adapter: { targetModules: ["q_prj", "v_proj", "w_proj"] } });
    expect(error).toMatchObject({ code: "ADAPTER_TARGET_MISSING", exitCode: 10 });
    expect(error.problems).toHaveLength(2);
    const group = await refused({ training: { groups: [{ name: "heads", match: ["lm_haed"], learningRate: 1e-4 }] } });
    expect(group.exitCode).toBe(10);
    expect(group.message).toContain("lm_haed");
  });

  test("leaves nothing on the disk when it is refused", () => {
    expect(existsSync(workshop.output) ? readdirSync(workshop.output) : []).toEqual([]);
  });
});

describe("data", () => {
  test("that are not there, empty, or no JSON have a code each", async () => {
    expect(await refused({ data: { train: workshop.path("nowhere.jsonl") } })).toMatchObject({ code: "FILE_MISSING" });
    expect(await refused({ data: { train: workshop.write("empty.jsonl", []) } })).toMatchObject({ code: "DATA_EMPTY", exitCode: 10 });
    writeFileSync(workshop.path("broken.jsonl"), '{"prompt": "a", "completion": "b"}\n{"prompt"\n');
    const broken = await refused({ data: { train: workshop.path("broken.jsonl") } });
    expect(broken).toMatchObject({ code: "JSONL_INVALID", exitCode: 11 });
    expect(broken.message).toContain("row 2");
    expect(await refused({ data: { eval: { held: [workshop.path("empty.jsonl")] } } })).toMatchObject({ code: "DATA_EMPTY" });
  });

  test("with rows beyond the limit are refused, cut or dropped, and counted", async () => {
    const train = workshop.write("long.jsonl", [
      ...tinyRows(6),
      { prompt: "a", completion: "b".repeat(100) },
      { prompt: "c", completion: "d".repeat(90) },
    ]);
    expect(await refused({ data: { train } })).toMatchObject({ code: "DATA_ROW_TOO_LONG", exitCode: 10 });
    const notes = async (onTooLong: string) => {
      const { events, result } = await workshop.train({ data: { train, onTooLong }, training: { steps: 2 } });
      const { data } = await readRunRecord(result.run);
      return [...events.flatMap((event) => (event.type === "note" ? [event.message] : [])), data.train.examples];
    };
    expect(await notes("drop")).toEqual(["training data: 2 rows dropped, longer than the limit", 6]);
    expect(await notes("truncate")).toEqual(["training data: 2 rows cut at the limit", 8]);
  });

  test("with empty completions are trained on, and counted", async () => {
    const train = workshop.write("empty-completion.jsonl", [...tinyRows(4), { prompt: "a", completion: "" }]);
    const { events } = await workshop.train({ data: { train }, training: { steps: 2 } });
    expect(events).toContainEqual({
      type: "note",
      message: "training data: 1 row whose only token to learn is the end of the text (an empty completion?)",
    });
  });

  test("that make one update cannot be trained on with a warm-up, whose first update has rate 0", async () => {
    const train = workshop.write("two.jsonl", tinyRows(2));
    const values = { data: { train }, training: { steps: null, epochs: 1, warmupRatio: 0.03, batchSize: 8 } };
    expect(await refused(values)).toMatchObject({ code: "CONFIG_INVALID", exitCode: 10, problems: [{ where: "training.warmupRatio" }] });
  });

  test("with rows that have nothing to learn are counted, and refused if that is all of them", async () => {
    const none = { messages: [{ role: "user", content: "only a question" }] };
    const base = await workshop.model("chatty", {});
    const config = join(base, "tokenizer_config.json");
    const template = "{% for m in messages %}{{ m.role }}: {{ m.content }}</s>{% endfor %}";
    writeFileSync(config, JSON.stringify({ ...(JSON.parse(readFileSync(config, "utf8")) as object), chat_template: template }));
    const some = workshop.write("some.jsonl", [{ messages: [...none.messages, { role: "assistant", content: "an answer" }] }, none]);
    const { events } = await workshop.train({ base, data: { train: some, maxLength: 64 }, training: { steps: 2 } });
    expect(events).toContainEqual({ type: "note", message: "training data: 1 row left out, without a token to learn" });
    expect(await refused({ base, data: { train: workshop.write("none.jsonl", [none]) } })).toMatchObject({
      code: "DATA_NO_LABELS",
      exitCode: 10,
    });
  });
});

test("an evaluation without data is DATA_EMPTY", async () => {
  const job = runJob(evaluateJob, { path: workshop.base }, { inline: true });
  expect(await failure(job)).toMatchObject({ code: "DATA_EMPTY", exitCode: 10 });
});

describe("a run that diverges", () => {
  test("stops, and keeps the state before the failed update as a checkpoint from which a sound base goes on", async () => {
    const base = await workshop.model("overflowing", {
      change: (name, tensor) =>
        name === "model.norm.weight"
          ? withValues(
              tensor,
              tensor.values.map(() => 3e38),
            )
          : tensor,
    });
    const error = await failure(workshop.train({ base, data: { eval: [] } }));
    expect(error).toMatchObject({ code: "LOSS_NOT_FINITE", exitCode: 30, details: { step: 1 } });
    const checkpoint = error.details["checkpoint"] as string;
    expect(error.hint).toContain(`heirloom continue ${checkpoint}`);
    const { result } = await workshop.continue(checkpoint, { base: workshop.base, data: { eval: {} } }, ["base"]);
    expect(Number.isFinite(result.loss)).toBe(true);
  });

  test("stops at a held-out loss that is no number, before it is taken for a result", async () => {
    const base = workshop.path("overflowing");
    const error = await failure(workshop.train({ base }));
    expect(error).toMatchObject({ code: "LOSS_NOT_FINITE", exitCode: 30, details: { loss: "NaN" } });
    expect(error.message).toContain('held-out set "held" after update 0');
    expect(await failure(runJob(evaluateJob, { path: base, data: [workshop.path("eval.jsonl")] }, { inline: true }))).toMatchObject({
      code: "LOSS_NOT_FINITE",
    });
  });

  test("does not keep weights that became infinite themselves", async () => {
    const events: string[] = [];
    const error = await failure(
      workshop.train({ training: { learningRate: 1e39, groups: [] } }, { onEvent: ({ type }) => void events.push(type) }),
    );
    expect(error.code).toBe("LOSS_NOT_FINITE");
    expect(error.details["checkpoint"]).toBeUndefined();
    expect(events).not.toContain("checkpoint");
  });
});
