import { cp, mkdtemp, readdir, readFile, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { planSafetensors } from "../../formats/index.ts";
import { adapterFiles, baseFiles, baseTensors, COPIES, KEYS, Q_PAIR, trainerState } from "../fixtures/tiny.ts";
import { type FixtureFiles, writeFolder } from "../fixtures/write-files.ts";
import { verifyPath } from "./index.ts";

let root: string;
let count = 0;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "heirloom-verify-path-"));
});
afterAll(() => rm(root, { recursive: true }));

async function folderOf(files: Readonly<Record<string, FixtureFiles>> | { ".": FixtureFiles }): Promise<string> {
  const folder = join(root, String(count++));
  for (const [name, content] of Object.entries(files)) await writeFolder(join(folder, name), content);
  return folder;
}

const SAVED = { modules_to_save: ["embed_tokens", "lm_head"] };
const value = (shape: number[], values: number) => ({ shape, values });

/** A checkpoint whose LoRA and full copies have these values. */
function checkpoint(step: number, lora: number, copies: number, config: object = {}): FixtureFiles {
  const tensors = {
    [KEYS.qA]: value([2, 4], lora),
    [KEYS.qB]: value([4, 2], lora),
    [KEYS.embed]: value([6, 4], copies),
    [KEYS.head]: value([6, 4], copies),
  };
  return {
    ...adapterFiles({ ...SAVED, ...config }, tensors),
    "trainer_state.json": trainerState({ global_step: step, max_steps: 4000, epoch: 1, num_train_epochs: 4000 / step, log_history: [] }),
  };
}

const LINEARS: readonly (readonly [path: string, out: number, width: number])[] = [
  ["self_attn.q_proj", 4096, 4096],
  ["self_attn.k_proj", 1024, 4096],
  ["self_attn.v_proj", 1024, 4096],
  ["self_attn.o_proj", 4096, 4096],
  ["mlp.gate_proj", 14_336, 4096],
  ["mlp.up_proj", 14_336, 4096],
  ["mlp.down_proj", 4096, 14_336],
];
const LLAMA_8B_CONFIG = {
  peft_type: "LORA",
  r: 64,
  lora_alpha: 64,
  target_modules: LINEARS.map(([path]) => path.split(".")[1]),
  ...SAVED,
};

function llama8bTensors(rank: number): [name: string, shape: number[]][] {
  const lora = Array.from({ length: 32 }, (_, layer) =>
    LINEARS.flatMap(([path, out, width]): [string, number[]][] => [
      [`base_model.model.model.layers.${layer}.${path}.lora_A.weight`, [rank, width]],
      [`base_model.model.model.layers.${layer}.${path}.lora_B.weight`, [out, rank]],
    ]),
  ).flat();
  return [[KEYS.embed, [128_256, 4096]], ...lora, [KEYS.head, [128_256, 4096]]];
}

/** A safetensors file whose data are a hole: headers tell all that is needed here. */
async function writeHeaderOnly(path: string, tensors: readonly [name: string, shape: number[]][]): Promise<void> {
  const { header, bytes } = planSafetensors(tensors.map(([name, shape]) => ({ name, shape, dtype: "F32" as const })));
  await writeFile(path, header);
  await truncate(path, bytes);
}

describe("a run with checkpoints", () => {
  it("is walked in the order of steps, and says since when tensors are frozen", async () => {
    const run = await folderOf({
      "checkpoint-500": checkpoint(500, 0.1, 0.1),
      "checkpoint-1000": checkpoint(1000, 0.2, 0.2),
      "checkpoint-1500": checkpoint(1500, 0.3, 0.3),
      "checkpoint-2000": checkpoint(2000, 0.4, 0.3),
      "checkpoint-10000": checkpoint(10_000, 0.5, 0.3),
    });
    const { ok, findings } = await verifyPath(run, { only: ["frozen"] });
    expect(ok).toBe(false);
    expect(findings.map(({ message }) => message)).toEqual([
      expect.stringMatching(/^(embed_tokens and lm_head|lm_head and embed_tokens) are frozen since checkpoint-1500: bit for bit the same$/),
    ]);
    expect([...(findings[0]?.tensors ?? [])].sort()).toEqual([KEYS.head, KEYS.embed]);
  });

  it("tells a stretch that has ended from one that goes on", async () => {
    const run = await folderOf({
      "checkpoint-1": checkpoint(1, 0.1, 0.1),
      "checkpoint-2": checkpoint(2, 0.2, 0.1),
      "checkpoint-3": checkpoint(3, 0.3, 0.1),
      "checkpoint-4": checkpoint(4, 0.3, 0.4),
    });
    const { findings } = await verifyPath(run, { only: ["frozen"] });
    expect(findings.map(({ message }) => message)).toEqual([
      expect.stringContaining("frozen between checkpoint-1 and checkpoint-3"),
      expect.stringMatching(/lora_[AB]\.weight are frozen since checkpoint-3/),
    ]);
  });

  it("says once what is wrong with several, and compares the final state by its configuration only", async () => {
    const { "trainer_state.json": _state, ...final } = checkpoint(2, 0.2, 0.2, { lora_alpha: 8 });
    const run = await folderOf({
      "checkpoint-1": checkpoint(1, 0.1, 0.1, { init_lora_weights: "pissa" }),
      "checkpoint-2": checkpoint(2, 0.2, 0.2, { init_lora_weights: "pissa" }),
      ".": final,
    });
    const { findings } = await verifyPath(run, { only: ["init-changes-base", "scaling-changed", "frozen"] });
    expect(findings.map(({ rule, message }) => [rule, message.split(":")[0]])).toEqual([
      ["scaling-changed", "the final state"],
      ["init-changes-base", "checkpoint-1 to checkpoint-2"],
    ]);
  });
});

describe("a gate that checks nothing", () => {
  const copies = { ".": adapterFiles(SAVED, { ...Q_PAIR, ...COPIES }) };

  it("refuses an earlier state without a tensor in common, and does not pass one of other shapes", async () => {
    const [adapter, model] = [await folderOf({ ".": adapterFiles() }), await folderOf({ ".": baseFiles() })];
    await expect(verifyPath(adapter, { against: model })).rejects.toMatchObject({
      code: "COMPARISON_EMPTY",
      hint: expect.any(String) as unknown,
    });
    const other = await folderOf({ ".": adapterFiles({ r: 3 }, { [KEYS.qA]: [3, 4], [KEYS.qB]: [4, 3] }) });
    const { ok, skipped, findings } = await verifyPath(adapter, { against: other });
    expect(ok).toBe(false);
    expect(findings.map(({ rule }) => rule)).toContain("earlier-shapes-differ");
    expect(skipped.find(({ rule }) => rule === "frozen")?.reason).toContain("no tensor has the name and shape");
  });

  it("does not pass a run whose final adapter is gone, or has lost a file, while its checkpoints are sound", async () => {
    const { "trainer_state.json": _state, ...final } = checkpoint(2, 0.2, 0.2);
    const run = await folderOf({ "checkpoint-1": checkpoint(1, 0.1, 0.1), "checkpoint-2": checkpoint(2, 0.2, 0.2), adapter: final });
    const files = { "adapter_config.json": "0", "adapter_model.safetensors": "0" };
    await writeFolder(run, { "run.json": {}, "result.json": { schemaVersion: 1, run: "r", record: "", output: "adapter", files } });
    expect((await verifyPath(run)).ok).toBe(true);
    for (const [lost, says] of [
      ["adapter/adapter_config.json", /^result\.json names files of adapter\/ that are not there: adapter_config\.json$/],
      ["adapter", /^adapter\/, which result\.json names, is not there$/],
    ] as const) {
      await rm(join(run, lost), { recursive: true });
      const { ok, findings } = await verifyPath(run);
      expect(ok).toBe(false);
      expect(findings.find(({ rule }) => rule === "final-state-missing")?.message).toMatch(says);
    }
  });

  it("holds the log and the banner against the adapter, if both are given", async () => {
    const folder = await folderOf(copies);
    const log = join(folder, "train.log");
    await writeFile(log, "trainable params: 16 || all params: 448 || trainable%: 3.5714\n");
    const { ok, findings } = await verifyPath(folder, { log, banner: "trainable params: 64" });
    expect(ok).toBe(false);
    expect(findings.map(({ message }) => message)).toContainEqual(expect.stringMatching(/^train\.log, line 1 says that 16 parameters/));
    const both = await verifyPath(folder, { log, banner: "trainable params: 63" });
    expect(both.findings.filter(({ rule }) => rule === "banner-contradicts")).toHaveLength(2);
  });

  it("fails on a rule that was asked for and cannot run, with the reason", async () => {
    const folder = await folderOf({ ".": adapterFiles() });
    const { ok, findings } = await verifyPath(folder, { only: ["frozen", "rank-mismatch"] });
    expect(ok).toBe(false);
    expect(findings).toMatchObject([{ rule: "frozen", severity: "error", message: "was asked for and did not run: without --against" }]);
    await expect(verifyPath(folder, { only: ["frozen"], ignore: ["frozen:why"] })).rejects.toMatchObject({ code: "USAGE" });
  });

  it("refuses a base that is no model, and fails on one that no rule can use", async () => {
    const folder = await folderOf({ ".": adapterFiles(), base: baseFiles({ model_type: "mystery", architectures: ["Mystery"] }) });
    for (const base of [folder, join(folder, "adapter_config.json")]) {
      await expect(verifyPath(folder, { base })).rejects.toMatchObject({
        code: "MODEL_CONFIG_INVALID",
        hint: expect.stringContaining("--base") as unknown,
      });
    }
    expect((await verifyPath(folder, { base: join(folder, "base") })).ok).toBe(true);
    const { ok, findings } = await verifyPath(folder, { base: join(folder, "base", "config.json") });
    expect(ok).toBe(false);
    expect(findings.map(({ message }) => message)).toEqual([
      "--base was given, and no rule could use it: the base has no weights, and its architecture is not known",
    ]);
  });

  it("fails on a release of PEFT that no rule could hold a model against", async () => {
    const folder = await folderOf({ ".": baseFiles() });
    expect((await verifyPath(folder, { peft: "0.12.0" })).ok).toBe(false);
  });
});

describe("options", () => {
  it("leaves rules out with their reasons, and refuses unknown ones with the nearest name", async () => {
    const folder = await folderOf({ ".": adapterFiles({ init_lora_weights: "pissa" }) });
    const { skipped, findings, ok } = await verifyPath(folder, {
      ignore: ["init-changes-base:residual base: kept beside it"],
      strict: true,
    });
    expect(ok).toBe(true);
    expect(findings).toEqual([]);
    expect(skipped).toContainEqual({ rule: "init-changes-base", reason: "ignored: residual base: kept beside it" });
    await expect(verifyPath(folder, { only: ["frosen"] })).rejects.toMatchObject({ code: "USAGE", hint: 'did you mean "frozen"?' });
  });

  it("fails on warnings with strict only", async () => {
    const folder = await folderOf({ ".": adapterFiles({ init_lora_weights: "pissa" }) });
    expect((await verifyPath(folder)).ok).toBe(true);
    expect((await verifyPath(folder, { strict: true })).ok).toBe(false);
  });

  it("finds the count in a log, and names the log that has none", async () => {
    const folder = await folderOf({ ".": adapterFiles() });
    const log = join(folder, "train.log");
    await writeFile(log, "step 1\ntrainable params: 12 || all params: 100 || trainable%: 12.0000\n");
    const { findings } = await verifyPath(folder, { log });
    expect(findings.map(({ message }) => message)).toEqual([
      "train.log, line 2 says that 12 parameters were trained, and the adapter stores 16: another adapter, or other tensors frozen",
    ]);
    await writeFile(log, "nothing here\n");
    await expect(verifyPath(folder, { log })).rejects.toMatchObject({
      code: "USAGE",
      message: expect.stringContaining("train.log") as string,
    });
  });

  it("skips a rule whose pattern is not Python's, and runs the others", async () => {
    const folder = await folderOf({ ".": adapterFiles({ target_modules: "(q_proj" }) });
    const { skipped, checked } = await verifyPath(folder);
    expect(skipped.map(({ rule }) => rule)).toContain("target-without-tensors");
    expect(checked).toContain("rank-mismatch");
  });
});

describe("a base of an unknown architecture", () => {
  it("is known by the names and shapes of its weights", async () => {
    const folder = await folderOf({
      adapter: adapterFiles({ target_modules: "all-linear" }),
      base: baseFiles({ architectures: ["StrangeForCausalLM"], model_type: "strange" }, baseTensors()),
    });
    const { findings } = await verifyPath(join(folder, "adapter"), { base: join(folder, "base"), only: ["missing-tensors"] });
    expect(findings.map(({ message }) => message)).toEqual([expect.stringContaining("6 of the modules")]);
  });
});

describe("a repair", () => {
  it("renames keys, takes out what the base has too, mends the configuration, and changes no value", async () => {
    const layer = { shape: [6, 4], values: 0.25 };
    const folder = await folderOf({
      adapter: {
        ...adapterFiles(
          { target_modules: ["q_proj", "q_proj"], lora_aplha: null },
          {
            [`module.base_model.model.${KEYS.qA}`]: { shape: [2, 4], values: (i: number) => i },
            [KEYS.qB.replace(".weight", ".default.weight")]: { shape: [4, 2], values: (i: number) => -i },
            "base_model.model.lm_head.base_layer.weight": layer,
          },
        ),
        "README.md": "kept",
      },
      expected: adapterFiles({}, { [KEYS.qA]: { shape: [2, 4], values: (i) => i }, [KEYS.qB]: { shape: [4, 2], values: (i) => -i } }),
      base: baseFiles(),
    });
    await symlink("/etc/hostname", join(folder, "adapter/link.txt"));
    const fix = join(folder, "fixed");
    const result = await verifyPath(join(folder, "adapter"), { base: join(folder, "base"), fix });
    expect(result.fixed?.changes).toHaveLength(4);
    expect(result.findings).toEqual([]);
    expect((await readdir(fix)).sort()).toEqual(["README.md", "adapter_config.json", "adapter_model.safetensors"]);
    const weights = "adapter_model.safetensors";
    expect(await readFile(join(fix, weights))).toEqual(await readFile(join(folder, "expected", weights)));
    expect(JSON.parse(await readFile(join(fix, "adapter_config.json"), "utf8"))).toEqual(
      JSON.parse(await readFile(join(folder, "expected/adapter_config.json"), "utf8")),
    );
    await expect(verifyPath(join(folder, "adapter"), { fix })).rejects.toMatchObject({ code: "OUTPUT_EXISTS" });
  });

  it("writes nothing where there is nothing to repair, and refuses two adapters in one file", async () => {
    const folder = await folderOf({
      good: adapterFiles(),
      two: adapterFiles({}, { ...Q_PAIR, [KEYS.qA.replace(".weight", ".other.weight")]: [2, 4] }),
    });
    const fix = join(folder, "fixed");
    expect((await verifyPath(join(folder, "good"), { fix })).fixed).toEqual({ folder: null, changes: [] });
    await expect(verifyPath(join(folder, "two"), { fix })).rejects.toMatchObject({ code: "ADAPTER_UNSUPPORTED" });
    await expect(readdir(fix)).rejects.toThrow();
  });
});

describe("values", () => {
  it("are compared over chunk borders, with rows counted whole", async () => {
    // Three rows of 700,000 elements: none ends where a read of 2^20 does.
    const shape = [3, 700_000];
    const of = (at: number) =>
      adapterFiles(SAVED, { ...COPIES, [KEYS.embed]: { shape, dtype: "BF16", values: (i) => (i >= at ? 1 : 0.5) } });
    const folder = await folderOf({ now: of(1_750_000), before: of(3_000_000) });
    const { findings } = await verifyPath(join(folder, "now"), { against: join(folder, "before"), only: ["updates-rounded-away"] });
    expect(findings).toEqual([]);
    const few = await folderOf({ now: of(2_000_000), before: of(3_000_000) });
    const report = await verifyPath(join(few, "now"), { against: join(few, "before"), only: ["updates-rounded-away"] });
    expect(report.findings.map(({ message }) => message)).toEqual([expect.stringContaining("14.3 %")]);
  });
});

describe("the case that this project began with", () => {
  it("a rank-64 adapter with both copies of LLaMA-3.1-8B, and a trainer that counted 167,772,160", async () => {
    const folder = await folderOf({ ".": { "adapter_config.json": LLAMA_8B_CONFIG } });
    await writeHeaderOnly(join(folder, "adapter_model.safetensors"), llama8bTensors(64));
    const verify = (banner: string) =>
      verifyPath(folder, { base: "vectors/configs/llama-3.1-8b.json", banner, only: ["banner-contradicts"] });
    const bad = await verify("trainable params: 167,772,160 (1.81%)");
    expect(bad.findings.map(({ message }) => message)).toEqual([
      "line 1 says that 167,772,160 parameters were trained, and the adapter stores 1,218,445,312: the difference is exactly the 1,050,673,152 of embed_tokens and lm_head, so that they were frozen",
    ]);
    expect((await verify("trainable params: 1,218,445,312 || all params: 9,248,706,560 || trainable%: 13.1742")).ok).toBe(true);
    const other = await verify("trainable params: 1,134,559,232 || all params: 9,164,820,480 || trainable%: 12.3795");
    expect(other.findings.map(({ message }) => message)).toEqual([expect.stringContaining("another adapter, or other tensors frozen")]);
  });
});

describe("what the Trainer saved (vectors)", () => {
  it("is sound: the optimizer holds what is stored, the schedule fits, nothing is frozen", async () => {
    const { ok, findings, checked } = await verifyPath("vectors/hf-trainer-checkpoint/run", { base: "vectors/hf-trainer-checkpoint/base" });
    expect(ok).toBe(true);
    expect(findings.map(({ rule }) => rule)).toEqual(["loader-rejects"]);
    expect(checked).toEqual(expect.arrayContaining(["optimizer-set-differs", "schedule-mismatch", "lora-b-zero", "missing-tensors"]));
  });

  it("is caught once its optimizer belongs to other targets", async () => {
    const folder = join(root, "other-targets");
    await cp("vectors/hf-trainer-checkpoint/run/checkpoint-10", folder, { recursive: true });
    const file = join(folder, "adapter_config.json");
    const config = JSON.parse(await readFile(file, "utf8")) as Record<string, unknown>;
    await writeFile(file, JSON.stringify({ ...config, modules_to_save: null }));
    const { findings } = await verifyPath(folder, { base: "vectors/hf-trainer-checkpoint/base" });
    expect(findings.map(({ rule }) => rule)).toEqual(expect.arrayContaining(["copy-not-declared", "optimizer-set-differs"]));
  });
});

describe("adapters of PEFT on other architectures (vectors)", () => {
  it.each(["llama-bias", "llama-rope-llama3", "mistral-sliding", "qwen2-tied", "qwen3"])("%s has nothing to find", async (name) => {
    const path = `vectors/arch-variants/${name}`;
    expect((await verifyPath(`${path}/adapter`, { base: `${path}/base`, strict: true })).findings).toEqual([]);
  });

  it("tied copies are told apart from tied weights by their values", async () => {
    const verify = async (name: string) => {
      const path = `vectors/arch-variants/${name}`;
      const { findings } = await verifyPath(`${path}/adapter-trained`, { base: `${path}/base`, against: `${path}/adapter` });
      return findings.map(({ rule }) => rule);
    };
    expect(await verify("llama-tied-save-both")).toEqual(["tied-embeddings-untied", "tied-copies-differ", "loader-rejects"]);
    expect(await verify("llama-tied-save-lmhead-ensured")).toEqual(["loader-rejects"]);
  });
});
