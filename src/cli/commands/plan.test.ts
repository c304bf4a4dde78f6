import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fakeTerminal } from "../fixtures/fake-terminal.ts";
import { runCli } from "../run.ts";

const LLAMA = resolve("vectors/configs/llama-3.1-8b.json");
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "heirloom-cli-plan-"));
  const config = {
    base: LLAMA,
    adapter: { rank: 32, alpha: 64, modulesToSave: ["embed_tokens", "lm_head"], fullCopyDtype: "bf16" },
    data: { train: "rows.jsonl" },
    training: {
      steps: 10,
      learningRate: 1e-4,
      groups: [{ name: "embeddings", match: ["embed_tokens", "lm_head"], learningRateRatio: 0.1 }],
    },
  };
  await writeFile(join(folder, "run.json"), JSON.stringify(config));
});
afterAll(() => rm(folder, { recursive: true }));

async function run(...inputs: string[]) {
  const terminal = fakeTerminal({ folder });
  const exit = await runCli(["plan", "--no-calibrate", ...inputs], terminal);
  return { exit, out: terminal.out(), err: terminal.err() };
}

describe("heirloom plan", () => {
  it("prints banner, groups, files, memory by part and what would make it fit", async () => {
    const { exit, out, err } = await run("-c", "run.json", "--memory", "32GiB");
    expect([exit, err]).toEqual([0, ""]);
    expect(out).toContain("trainable params: 1,134,559,232 || all params: 9,164,820,480 || trainable%: 12.3795");
    expect(out).toMatch(/adapter\/adapter_model\.safetensors +2,436,\d{3},\d{3} +2,436,890,624 +2\.27 GiB/);
    expect(out).toMatch(/optimizer +8\.45 GiB +AdamW: two fp32 moments/);
    expect(out).toMatch(/together .* does not fit into 32\.00 GiB/);
    expect(out).toContain("--set engine.activations=recompute");
    expect(out).toContain("unknown: not measured (--no-calibrate)");
    expect(out).toMatch(/warning the bf16 copies of group "embeddings"/);
  });

  it("prints one JSON document with the fields that scripts rely on", async () => {
    const { exit, out } = await run("-c", "run.json", "--json");
    const document = JSON.parse(out) as Record<string, unknown>;
    expect(exit).toBe(0);
    expect(document).toMatchObject({
      schemaVersion: 1,
      counts: { basis: "predicted", trainable: 1_134_559_232, all: 9_164_820_480 },
      time: null,
      memory: { machineBytes: expect.any(Number) as number },
    });
  });

  it("lists every trained tensor if it is asked to, and only then", async () => {
    const [listed, short] = [await run("-c", "run.json", "--tensors"), await run("-c", "run.json")];
    const name = "base_model.model.model.layers.31.mlp.down_proj.lora_B.default.weight";
    expect([listed.out.includes(name), short.out.includes(name)]).toEqual([true, false]);
  });

  it.each([
    ["a base without config.json", ["-c", "run.json", "--base", "nowhere"], 11, "FILE_MISSING"],
    ["an unknown key", ["-c", "run.json", "--set", "training.lerningRate=1"], 10, "learningRate"],
    ["a memory whose unit was left out", ["-c", "run.json", "--memory", "16"], 2, "did you mean 16GiB?"],
    ["a memory that is no size", ["-c", "run.json", "--memory", "much"], 2, "--memory"],
    ["a target that the base has not", ["-c", "run.json", "--set", 'adapter.targetModules=["w_pack"]'], 10, "ADAPTER_TARGET_MISSING"],
  ])("refuses %s", async (_what, inputs, expected, said) => {
    const { exit, out, err } = await run(...inputs);
    expect({ exit, out }).toEqual({ exit: expected, out: "" });
    expect(err).toContain(said);
  });
});
