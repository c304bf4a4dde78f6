import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TinyWorkshop } from "../../src/train/fixtures/tiny-run.ts";
import { heirloom, isBuilt, writeRunFile } from "./fixtures/program.ts";

const VECTORS = resolve("vectors/trainer-variants");

describe.skipIf(!isBuilt)("resume, of another trainer's checkpoint", () => {
  let workshop: TinyWorkshop;
  beforeAll(async () => {
    workshop = await TinyWorkshop.open({ deviation: 0.1 });
    const data = { train: join(VECTORS, "train.jsonl"), maxLength: 48 };
    writeRunFile(workshop, "foreign.yaml", { adapter: {}, training: {}, quantization: "none", data });
    writeRunFile(workshop, "run.yaml");
  });
  afterAll(() => workshop.close());
  const run = (inputs: readonly string[]) => heirloom(inputs, { folder: workshop.folder });

  it("goes on at the next update, says what could not be handed over, and can be repeated from its record", async () => {
    const { code, out, err } = await run(["resume", join(VECTORS, "unsloth"), "-c", "foreign.yaml", "--json"]);
    expect({ code, err: code === 0 ? "" : err }).toEqual({ code: 0, err: "" });
    expect(err).toContain("those of PyTorch and Python cannot be handed over");
    expect(err).toContain("step 4/6");
    const result = JSON.parse(out) as { run: string; steps: number; loss: number };
    const { logs } = JSON.parse(readFileSync(join(VECTORS, "steps.json"), "utf8")) as { logs: { unsloth: { loss: number }[] } };
    // vectors/README.md: losses of a training run, between fp32 implementations.
    expect(Math.abs(result.loss - (logs.unsloth.at(-1)?.loss ?? 0))).toBeLessThan(2e-5);
    const repeated = await run(["train", "--from", result.run, "--json", "--quiet"]);
    expect(repeated.code).toBe(0);
    expect(JSON.parse(repeated.out)).toMatchObject({ steps: 6, loss: result.loss, repetition: { identical: true } });
  });

  it("is refused for what its run file says otherwise, with exit 12", async () => {
    const { code, out } = await run(["resume", join(VECTORS, "loraplus/checkpoint-3"), "-c", "foreign.yaml", "--steps", "9", "--json"]);
    expect(code).toBe(12);
    expect(JSON.parse(out)).toMatchObject({ error: { code: "RESUME_CHANGED", problems: [{ where: "training.steps" }] } });
    expect(out).toContain("--change steps");
  });

  it("leaves runs of ours as they are recorded: a run file beside them is refused", async () => {
    await run(["train", "-c", "run.yaml", "--output", "own", "--quiet"]);
    const [own = ""] = readdirSync(workshop.path("own"));
    const { code, err } = await run(["resume", join("own", own), "-c", "run.yaml"]);
    expect(code).toBe(2);
    expect(err).toContain("heirloom continue");
  });
});
