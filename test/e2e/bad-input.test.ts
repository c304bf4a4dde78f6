// Every fault that people make, through the built program: its exit code, its stable code, the place, and what to do next.
import { cpSync, truncateSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { withValues } from "../../src/engine/fixtures/tiny-model.ts";
import type { TinyWorkshop } from "../../src/train/fixtures/tiny-run.ts";
import { heirloom, isBuilt, openWorkshop } from "./fixtures/program.ts";

interface Fault {
  readonly title: string;
  /** Command line, in the workshop's folder. */
  readonly inputs: readonly string[];
  readonly exit: number;
  readonly code: string;
  /** What the first problem must name, in its place, message or hint. */
  readonly names: string;
}

const train = (...inputs: string[]): readonly string[] => ["train", "-c", "run.yaml", ...inputs];

const FAULTS: readonly Fault[] = [
  { title: "a missing run file", inputs: ["train", "-c", "nowhere.yaml"], exit: 11, code: "FILE_MISSING", names: "nowhere.yaml" },
  { title: "a missing base", inputs: train("--base", "nowhere"), exit: 11, code: "FILE_MISSING", names: "nowhere" },
  { title: "missing data", inputs: train("--set", "data.train=nowhere.jsonl"), exit: 11, code: "FILE_MISSING", names: "nowhere.jsonl" },
  {
    title: "truncated safetensors",
    inputs: train("--base", "truncated"),
    exit: 11,
    code: "SAFETENSORS_TRUNCATED",
    names: "model.safetensors",
  },
  { title: "NaN weights", inputs: train("--base", "nan"), exit: 11, code: "TENSOR_NOT_FINITE", names: "model.layers.1.mlp.up_proj.weight" },
  { title: "a wrong dtype", inputs: train("--base", "dtype"), exit: 11, code: "TENSOR_DTYPE", names: "model.norm.weight" },
  { title: "an unknown key", inputs: train("--set", "adapter.rnk=4"), exit: 10, code: "CONFIG_UNKNOWN_KEY", names: "adapter.rank" },
  { title: "rank 0", inputs: train("--rank", "0"), exit: 10, code: "ADAPTER_RANK_INVALID", names: "adapter.rank" },
  {
    title: "a target that matches nothing",
    inputs: train("--set", "adapter.targetModules=[q_prj]"),
    exit: 10,
    code: "ADAPTER_TARGET_MISSING",
    names: "q_proj",
  },
  { title: "a tokenizer larger than the embedding", inputs: train("--base", "small"), exit: 12, code: "TOKENIZER_TOO_LARGE", names: "200" },
  {
    title: "an architecture that is not run",
    inputs: train("--base", "gemma"),
    exit: 12,
    code: "ARCHITECTURE_UNSUPPORTED",
    names: "gemma2",
  },
  { title: "empty data", inputs: train("--set", "data.train=empty.jsonl"), exit: 10, code: "DATA_EMPTY", names: "empty.jsonl" },
  {
    title: "a row that is too long",
    inputs: train("--set", "data.train=long.jsonl"),
    exit: 10,
    code: "DATA_ROW_TOO_LONG",
    names: "long.jsonl",
  },
  {
    title: "rows without labels",
    inputs: train("--set", "data.train=mute.jsonl", "--set", "data.onTooLong=truncate"),
    exit: 10,
    code: "DATA_NO_LABELS",
    names: "mute.jsonl",
  },
  {
    title: "rows of no known form",
    inputs: train("--set", "data.train=form.jsonl"),
    exit: 11,
    code: "DATA_FORMAT_INVALID",
    names: "form.jsonl",
  },
  {
    title: "a loss that is not finite",
    inputs: train("--learning-rate", "1e30"),
    exit: 30,
    code: "LOSS_NOT_FINITE",
    names: "learningRate",
  },
  {
    title: "another base than recorded",
    inputs: ["continue", "adapter", "-c", "more.yaml", "--base", "other"],
    exit: 12,
    code: "BASE_MISMATCH",
    names: "--change base",
  },
];

describe.skipIf(!isBuilt)("bad input", () => {
  let workshop: TinyWorkshop;

  beforeAll(async () => {
    workshop = await openWorkshop();
    const { folder } = workshop;
    const trained = await heirloom(["train", "-c", "run.yaml", "--steps", "2", "--json", "--quiet"], { folder });
    cpSync((JSON.parse(trained.out) as { adapter: string }).adapter, workshop.path("adapter"), { recursive: true });
    await workshop.model("truncated", {});
    truncateSync(workshop.path("truncated", "model.safetensors"), 20_000);
    await workshop.model("nan", {
      change: (name, tensor) =>
        name === "model.layers.1.mlp.up_proj.weight" ? withValues(tensor, tensor.values.with(7, Number.NaN)) : tensor,
    });
    await workshop.model("dtype", {
      change: (name, tensor) => (name === "model.norm.weight" ? { ...tensor, dtype: "I32" } : tensor),
    });
    await workshop.model("small", { config: { vocab_size: 200 } });
    await workshop.model("other", { seed: 2 });
    cpSync(workshop.base, workshop.path("gemma"), { recursive: true });
    writeFileSync(workshop.path("gemma", "config.json"), JSON.stringify({ architectures: ["Gemma2ForCausalLM"], model_type: "gemma2" }));
    workshop.write("empty.jsonl", []);
    workshop.write("long.jsonl", [{ text: "long ".repeat(40) }, { text: "short" }]);
    // Cut at 48 tokens, nothing of the completion is left.
    workshop.write("mute.jsonl", [{ prompt: "x".repeat(60), completion: " y" }]);
    workshop.write("form.jsonl", [{ something: "else" }]);
  });
  afterAll(() => workshop.close());

  it.each(FAULTS)("$title ends with exit $exit and $code", async ({ inputs, exit, code, names }) => {
    const { code: status, out } = await heirloom([...inputs, "--json", "--quiet"], { folder: workshop.folder });
    const document = JSON.parse(out) as { error?: { code: string; problems: unknown[] } };
    expect({ status, code: document.error?.code }).toEqual({ status: exit, code });
    expect(JSON.stringify(document.error?.problems[0])).toContain(names);
  });

  it("rows that are too long are counted and reported where they may be dropped", async () => {
    const inputs = train("--set", "data.train=long.jsonl", "--set", "data.onTooLong=drop", "--steps", "1", "--set", "training.groups=[]");
    const { code, err } = await heirloom(inputs, { folder: workshop.folder });
    expect(code).toBe(0);
    expect(err).toContain("1 row dropped, longer than the limit");
  });
});
