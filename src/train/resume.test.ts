import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { withValues } from "../engine/fixtures/tiny-model.ts";
import { listCheckpoints } from "../runs/index.ts";
import { editJson, rewriteTensors } from "./fixtures/adapter-files.ts";
import { failure, interrupt, problemList, stopAfter, TinyWorkshop, tinyRows } from "./fixtures/tiny-run.ts";

let workshop: TinyWorkshop;

beforeAll(async () => {
  workshop = await TinyWorkshop.open();
});
afterAll(() => workshop.close());

describe("a resumed run", () => {
  test("is interrupted with exit code 130, the checkpoint and the way on named", async () => {
    const error = await failure(workshop.train({}, stopAfter(1)));
    const checkpoint = error.details["checkpoint"] as string;
    expect(error).toMatchObject({
      code: "INTERRUPTED",
      exitCode: 130,
      details: { step: 1, steps: 4 },
      hint: `heirloom resume ${checkpoint}`,
    });
    expect(existsSync(checkpoint)).toBe(true);
  });

  test("goes on from the last checkpoint of the run that is named, in the same record and log", async () => {
    const { checkpoint } = await interrupt(workshop, { checkpoints: { everySteps: 1 } }, 2);
    const run = join(checkpoint, "..");
    const told = await workshop.resume(run);
    expect(told.events[0]).toMatchObject({ type: "started", kind: "resume", fromStep: 2 });
    const lines = readFileSync(join(run, "events.jsonl"), "utf8").trimEnd().split("\n");
    const events = lines.map((line) => JSON.parse(line) as { type: string; step?: number });
    expect(events.filter(({ type }) => type === "step").map(({ step }) => step)).toEqual([1, 2, 3, 4]);
    expect(events.filter(({ type }) => type === "resumed")).toHaveLength(1);
    expect(events.at(-1)?.type).toBe("finished");
  });

  test("is refused if configuration, base, tokenizer or data are not those of the record, all at once", async () => {
    const scene = await TinyWorkshop.open();
    const stop = stopAfter(1);
    const { checkpoint } = (await failure(scene.train({}, stop))).details as { checkpoint: string };
    await scene.model("base", {
      change: (name, tensor) =>
        name === "model.norm.weight"
          ? withValues(
              tensor,
              tensor.values.map((v) => v + 1),
            )
          : tensor,
    });
    const tokenizer = join(scene.base, "tokenizer.json");
    writeFileSync(tokenizer, `${readFileSync(tokenizer, "utf8")}\n`);
    scene.write("train.jsonl", tinyRows(12, 1));
    scene.write("eval.jsonl", tinyRows(5, 1));
    const record = join(checkpoint, "..", "run.json");
    const { config } = JSON.parse(readFileSync(record, "utf8")) as { config: { training: object } };
    editJson(record, { config: { ...config, training: { ...config.training, learningRate: 0.5 } } });
    const error = await failure(scene.resume(checkpoint));
    scene.close();
    expect(error.exitCode).toBe(12);
    expect(problemList(error)).toEqual([
      "RESUME_CHANGED configuration",
      "RESUME_CHANGED base model",
      "RESUME_CHANGED tokenizer",
      "RESUME_CHANGED training data",
      'RESUME_CHANGED held-out data "held"',
    ]);
  });

  test("is refused for a path that is no run, a run without a checkpoint, and a damaged record", async () => {
    expect(await failure(workshop.resume(workshop.path("nowhere")))).toMatchObject({ code: "FILE_MISSING" });
    const { checkpoint } = await interrupt(workshop, {}, 1);
    const run = join(checkpoint, "..");
    const moved = workshop.path("checkpoint-1");
    cpSync(checkpoint, moved, { recursive: true });
    rmSync(checkpoint, { recursive: true });
    expect(await failure(workshop.resume(run))).toMatchObject({ code: "CHECKPOINT_INVALID", exitCode: 40 });
    cpSync(moved, checkpoint, { recursive: true });
    writeFileSync(join(run, "run.json"), '{"schemaVersion": 1, "config": {}}');
    expect(await failure(workshop.resume(run))).toMatchObject({ code: "RECORD_INVALID", exitCode: 11 });
    writeFileSync(join(run, "run.json"), "{");
    expect(await failure(workshop.resume(run))).toMatchObject({ code: "RECORD_INVALID", exitCode: 11 });
  });

  test("is refused for a checkpoint whose state or optimizer state is not whole, the tensors named", async () => {
    const { checkpoint } = await interrupt(workshop, {}, 1);
    const state = readFileSync(join(checkpoint, "trainer_state.json"), "utf8");
    for (const damage of [
      "{}",
      JSON.stringify({ ...JSON.parse(state), global_step: "1" }),
      JSON.stringify({ ...JSON.parse(state), data: { epoch: 0 } }),
    ]) {
      writeFileSync(join(checkpoint, "trainer_state.json"), damage);
      expect(await failure(workshop.resume(checkpoint))).toMatchObject({ code: "CHECKPOINT_INVALID", exitCode: 40 });
    }
    writeFileSync(join(checkpoint, "trainer_state.json"), JSON.stringify({ ...JSON.parse(state), data: { epoch: 0, index: 99 } }));
    expect(await failure(workshop.resume(checkpoint))).toMatchObject({ code: "CHECKPOINT_INVALID" });
    writeFileSync(join(checkpoint, "trainer_state.json"), state);
    await rewriteTensors(join(checkpoint, "optimizer.safetensors"), (tensors) =>
      tensors.map((tensor) =>
        tensor.name.endsWith("lm_head.modules_to_save.default.weight") ? { ...tensor, name: `${tensor.name}.gone` } : tensor,
      ),
    );
    const error = await failure(workshop.resume(checkpoint));
    expect(error.problems.map(({ code }) => code)).toEqual(new Array(4).fill("CHECKPOINT_INVALID"));
    expect(error.message).toContain("exp_avg_sq.base_model.model.lm_head.modules_to_save.default.weight");
  });

  test("is refused for an adapter whose tensors are truncated", async () => {
    const { checkpoint } = await interrupt(workshop, {}, 1);
    const path = join(checkpoint, "adapter_model.safetensors");
    writeFileSync(path, readFileSync(path).subarray(0, 5000));
    expect(await failure(workshop.resume(checkpoint))).toMatchObject({ code: "SAFETENSORS_TRUNCATED", exitCode: 11 });
  });
});

describe("checkpoints", () => {
  test("are kept to the number asked for, the last ones", async () => {
    const { result } = await workshop.train({ checkpoints: { everySteps: 1, keepLast: 2 } });
    expect((await listCheckpoints(result.run)).map(({ step }) => step)).toEqual([3, 4]);
  });

  test("are never removed by their own retention when an earlier one is resumed", async () => {
    const { result } = await workshop.train({ checkpoints: { everySteps: 2, keepLast: 2 } });
    const stop = stopAfter(3);
    const error = await failure(workshop.resume(join(result.run, "checkpoint-2"), stop));
    expect(error.code).toBe("INTERRUPTED");
    expect(existsSync(error.details["checkpoint"] as string)).toBe(true);
    expect((await listCheckpoints(result.run)).map(({ step }) => step)).toEqual([2, 3]);
    // The later one belongs to the branch that was left: set aside, not lost.
    expect(readdirSync(result.run).filter((name) => name.startsWith("checkpoint-4.abandoned-"))).toHaveLength(1);
  });

  test("carry no held-out loss that was measured on other weights", async () => {
    const { checkpoint } = await interrupt(workshop, { evaluation: { everySteps: 2 } }, 3);
    expect((JSON.parse(readFileSync(join(checkpoint, "heirloom.json"), "utf8")) as { evaluations: unknown }).evaluations).toEqual([]);
  });
});
