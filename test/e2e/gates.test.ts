// Gates through the built program: exit codes, and what a refused run leaves behind.
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { TinyWorkshop } from "../../src/train/fixtures/tiny-run.ts";
import { type Ended, heirloom, isBuilt, openWorkshop, writeRunFile } from "./fixtures/program.ts";

describe.skipIf(!isBuilt)("a gate that fails", () => {
  let workshop: TinyWorkshop;
  let adapter: string;
  const run = (...inputs: string[]): Promise<Ended> => heirloom(inputs, { folder: workshop.folder });

  beforeAll(async () => {
    workshop = await openWorkshop();
    adapter = (JSON.parse((await run("train", "-c", "run.yaml", "--json", "--quiet")).out) as { adapter: string }).adapter;
  });
  afterAll(() => workshop.close());

  it("ends with exit 21, sets the weights apart and names the adapter that stays current", async () => {
    writeFileSync(
      workshop.path("gated.json"),
      JSON.stringify({
        data: { train: "train.jsonl", eval: { held: "eval.jsonl" } },
        training: { steps: 2 },
        evaluation: { gates: [{ atMost: 0.001 }] },
      }),
    );
    const { code, out } = await run("continue", adapter, "-c", "gated.json", "--json", "--quiet");
    expect(code).toBe(21);
    const { error } = JSON.parse(out) as {
      error: { code: string; problems: { details: { run: string; rejected: string; current: string } }[] };
    };
    expect(error.code).toBe("GATE_FAILED");
    const details = error.problems[0]?.details;
    expect(details?.current).toBe(adapter);
    const folder = details?.run ?? "";
    expect(existsSync(join(folder, "rejected", "adapter_model.safetensors"))).toBe(true);
    expect(existsSync(join(folder, "adapter"))).toBe(false);
    const refused = await run("generate", folder, "--prompt", "amber");
    expect(refused.code).toBe(21);
    expect(refused.err).toContain(adapter);
    expect((await run("generate", join(folder, "rejected"), "--prompt", "amber", "--max-tokens", "1")).code).toBe(0);
    expect((await run("inspect", folder)).code).toBe(0);
  });

  it("of an evaluation ends with exit 21, and shows all that was measured", async () => {
    const inputs = ["eval", adapter, "--data", "held=eval.jsonl", "--against", "base", "--base", "base"];
    const passed = await run(...inputs, "--gate", "dataset: held, mustFall: true");
    expect({ code: passed.code, err: passed.err.includes("error") }).toEqual({ code: 0, err: false });
    const failed = await run(...inputs, "--gate", "mustRise: true", "--json", "--quiet");
    expect(failed.code).toBe(21);
    expect(JSON.parse(failed.out)).toMatchObject({ evaluations: [{ dataset: "held" }], gates: [{ ok: false, condition: "must rise" }] });
  });

  it("and a stop that comes early are told on the terminal", async () => {
    writeRunFile(workshop, "early.json", {
      training: { steps: 9, batchSize: 2, learningRate: 0.5, schedule: "constant" },
      evaluation: { everySteps: 1, earlyStopping: { patience: 1 }, samplePrompts: ["amber 0:"], sampleTokens: 2 },
    });
    const { code, out, err } = await run("train", "-c", "early.json");
    expect(code).toBe(0);
    expect(err).toContain("stopped early after step");
    expect(out).toMatch(/stopped early.*the weights are those of update/);
    expect(out).toMatch(/amber 0:\n {2}before/);
  });
});
