import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type TinyWorkshop, tinyRows } from "../../src/train/fixtures/tiny-run.ts";
import { heirloom, isBuilt, openWorkshop, startHeirloom, weightFiles, writeRunFile } from "./fixtures/program.ts";

/** Long enough to be interrupted on any machine: an update takes some milliseconds. */
const STEPS = 120;

describe.skipIf(!isBuilt)("Ctrl-C", () => {
  let workshop: TinyWorkshop;
  const path = (...parts: string[]): string => join(workshop.folder, ...parts);
  const onlyRun = (store: string): string => path(store, readdirSync(path(store))[0] ?? "");

  beforeAll(async () => {
    workshop = await openWorkshop();
    const { training } = workshop.defaults() as { training: object };
    const long = {
      training: { ...training, steps: STEPS, accumulation: 2 },
      adapter: { rank: 4, alpha: 8, dropout: 0.1, modulesToSave: ["lm_head"] },
    };
    const groups = [{ name: "head", match: ["lm_head"], learningRateRatio: 0.1 }];
    for (const store of ["whole", "stopped"])
      writeRunFile(workshop, `${store}.yaml`, { ...long, training: { ...long.training, groups }, output: store });
  });
  afterAll(() => workshop.close());

  it("writes a checkpoint, exits 130 and says how to resume; the resumed run ends with the bytes of an uninterrupted one", async () => {
    const whole = heirloom(["train", "-c", "whole.yaml", "--quiet"], { folder: workshop.folder });
    const running = startHeirloom(["train", "-c", "stopped.yaml"], { folder: workshop.folder });
    await running.shown(`step 1/${STEPS}`);
    running.child.kill("SIGINT");
    const stopped = await running.ended;
    expect(stopped.code).toBe(130);
    expect(stopped.out).toBe("");
    expect(stopped.err).toContain("a checkpoint is written first");
    const hint = /heirloom resume (\S+)/.exec(stopped.err)?.[1] ?? "";
    expect(existsSync(join(hint, "trainer_state.json"))).toBe(true);
    expect(existsSync(join(onlyRun("stopped"), "adapter"))).toBe(false);

    const resumed = await heirloom(["resume", hint, "--quiet"], { folder: workshop.folder });
    expect({ code: resumed.code, err: resumed.err }).toEqual({ code: 0, err: "" });
    expect((await whole).code).toBe(0);
    const expected = weightFiles(onlyRun("whole"), STEPS).map((file) => readFileSync(file));
    const found = weightFiles(onlyRun("stopped"), STEPS).map((file) => readFileSync(file));
    // trainer_state.json holds the hash of the configuration, in which only the output folder differs.
    const state = (bytes: Buffer | undefined): object => ({ ...(JSON.parse(String(bytes)) as object), config_hash: "" });
    expect(found.slice(0, 3).map((file, i) => file.equals(expected[i] as Buffer))).toEqual([true, true, true]);
    expect(state(found[3])).toEqual(state(expected[3]));
  });

  it("is an error document with the checkpoint's path for scripts", async () => {
    const running = startHeirloom(["train", "-c", "stopped.yaml", "--output", "scripted", "--json"], { folder: workshop.folder });
    await running.shown(`step 1/${STEPS}`);
    running.child.kill("SIGINT");
    const { code, out } = await running.ended;
    expect(code).toBe(130);
    expect(JSON.parse(out)).toMatchObject({
      schemaVersion: 1,
      error: {
        code: "INTERRUPTED",
        problems: [{ details: { steps: STEPS, checkpoint: expect.stringContaining("checkpoint-") as unknown } }],
      },
    });
  });

  it("twice ends at once, without a checkpoint", async () => {
    workshop.write("many.jsonl", tinyRows(3000));
    // One update over all of the epoch: seconds, so that the second signal comes in the middle of it.
    const slow = ["--output", "twice", "--set", "training.accumulation=3000", "--set", "data.train=many.jsonl"];
    const running = startHeirloom(["train", "-c", "stopped.yaml", ...slow], { folder: workshop.folder });
    await running.shown("eval after step 0");
    running.child.kill("SIGINT");
    await running.shown("Ctrl-C again ends at once");
    running.child.kill("SIGINT");
    expect((await running.ended).code).toBe(130);
    expect(readdirSync(onlyRun("twice")).sort()).toEqual(["events.jsonl", "run.json"]);
  });

  it("resume refuses data that changed since the run was started", async () => {
    const run = onlyRun("scripted");
    workshop.write("train.jsonl", [{ prompt: "other", completion: " data" }]);
    const { code, out } = await heirloom(["resume", run, "--json"], { folder: workshop.folder });
    expect(code).toBe(12);
    expect(JSON.parse(out)).toMatchObject({ error: { code: "RESUME_CHANGED", problems: [{ where: "training data" }] } });
  });

  it("resume says what to do where there is no run or no checkpoint", async () => {
    const missing = await heirloom(["resume", "nowhere"], { folder: workshop.folder });
    expect(missing).toMatchObject({ code: 11, err: expect.stringContaining("run folders are under") as unknown });
    const bare = await heirloom(["resume", "base"], { folder: workshop.folder });
    expect(bare).toMatchObject({ code: 40, err: expect.stringContaining("CHECKPOINT_INVALID") as unknown });
  });
});
