import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseSetFlag } from "../config/index.ts";
import { withValues } from "../engine/fixtures/tiny-model.ts";
import { listCheckpoints } from "../runs/index.ts";
import { readState } from "./checkpoint/index.ts";
import { editJson } from "./fixtures/adapter-files.ts";
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
    expect(await failure(workshop.resume(run))).toMatchObject({
      code: "CHECKPOINT_INVALID",
      exitCode: 40,
      hint: `start it again from its record: heirloom train --from ${run}`,
    });
    cpSync(moved, checkpoint, { recursive: true });
    writeFileSync(join(run, "run.json"), '{"schemaVersion": 1, "config": {}}');
    expect(await failure(workshop.resume(run))).toMatchObject({ code: "RECORD_INVALID", exitCode: 11 });
    writeFileSync(join(run, "run.json"), "{");
    expect(await failure(workshop.resume(run))).toMatchObject({ code: "RECORD_INVALID", exitCode: 11 });
  });

  test("goes further than planned, if that is named; the change lasts, and what becomes of the schedule is said", async () => {
    const { checkpoint } = await interrupt(workshop, {}, 2);
    const run = join(checkpoint, "..");
    const changes = [parseSetFlag("training.steps=6")];
    const stop = stopAfter(5);
    const notes: string[] = [];
    const error = await failure(
      workshop.resume(run, {
        ...stop,
        changes,
        onEvent(event) {
          if (event.type === "note") notes.push(event.message);
          stop.onEvent?.(event);
        },
      }),
    );
    expect(error).toMatchObject({ code: "INTERRUPTED", details: { step: 5, steps: 6 } });
    expect(notes.join()).toMatch(/schedule is now linear over 6 updates, before it was linear over 4 updates: update 3 has rate/);
    const rest = await workshop.resume(run);
    expect(rest.result.steps).toBe(6);
    expect(JSON.stringify(rest.events)).not.toContain("schedule is now");
    expect(await failure(workshop.resume(run, { changes: [parseSetFlag("training.steps=5")] }))).toMatchObject({ code: "CONFIG_INVALID" });
    expect(await failure(workshop.resume(run, { changes: [parseSetFlag("adapter.rank=2")] }))).toMatchObject({ code: "RESUME_CHANGED" });
  });

  test("that is to end at its checkpoint is measured there, and an end that it had come to is set aside", async () => {
    const { result } = await workshop.train({ checkpoints: { everySteps: 2 } });
    const { result: shorter } = await workshop.resume(join(result.run, "checkpoint-2"), { changes: [parseSetFlag("training.steps=2")] });
    const record = JSON.parse(readFileSync(join(shorter.adapter as string, "heirloom.json"), "utf8")) as {
      step: number;
      evaluations: { step: number }[];
    };
    expect(record.step).toBe(2);
    expect(record.evaluations.map(({ step }) => step)).toEqual([2]);
    const names = readdirSync(result.run);
    for (const name of ["adapter", "result.json", "checkpoint-4"])
      expect(names.filter((found) => found.startsWith(`${name}.abandoned-`))).toHaveLength(1);
  });

  test("has its last updates kept if measuring them is interrupted", async () => {
    const answers = { asked: workshop.write("answers.jsonl", tinyRows(3)) };
    const error = await failure(workshop.train({ evaluation: { answers } }, stopAfter(4)));
    expect(error).toMatchObject({ code: "INTERRUPTED", details: { step: 4, steps: 4 } });
    const rest = await workshop.resume(error.details["checkpoint"] as string);
    const whole = await workshop.train({ evaluation: { answers } });
    expect(rest.result.evaluations).toEqual(whole.result.evaluations);
    expect(existsSync(rest.result.adapter as string)).toBe(true);
  });

  test("is refused for a checkpoint whose state is not whole", async () => {
    const { checkpoint } = await interrupt(workshop, {}, 1);
    const path = join(checkpoint, "heirloom_state.json");
    const state = JSON.parse(readFileSync(path, "utf8")) as { optimizer: { parameters: string[] } };
    for (const damage of [
      {},
      { ...state, step: "1" },
      { ...state, data: { epoch: 0 } },
      { ...state, data: { epoch: 0, index: 99 } },
      { ...state, files: [{ name: "../../outside", bytes: 1, sha256: "" }] },
    ]) {
      writeFileSync(path, JSON.stringify(damage));
      expect(await failure(workshop.resume(checkpoint))).toMatchObject({ code: "CHECKPOINT_INVALID", exitCode: 40 });
    }
    // The last one's files were not even looked for.
    expect((await failure(readState(checkpoint))).message).toContain("expected the name of a file inside the checkpoint");
    const parameters = state.optimizer.parameters.map((name) => (name.includes("lm_head") ? "gone" : name));
    writeFileSync(path, JSON.stringify({ ...state, optimizer: { ...state.optimizer, parameters } }));
    const error = await failure(workshop.resume(checkpoint));
    expect(error.problems.map(({ code, message }) => `${code} ${message}`)).toEqual([
      "CHECKPOINT_INVALID the optimizer state has no index for a tensor that is trained",
      "CHECKPOINT_INVALID the optimizer state has a tensor that is not being trained",
    ]);
    expect(error.message).toContain("base_model.model.lm_head.modules_to_save.default.weight");
    rmSync(path);
    expect(await failure(workshop.resume(checkpoint))).toMatchObject({ code: "CHECKPOINT_INVALID", exitCode: 40 });
  });

  test("is refused for files that are missing, cut short or changed since, all at once, before anything is loaded", async () => {
    const { checkpoint } = await interrupt(workshop, {}, 1);
    const weights = join(checkpoint, "adapter_model.safetensors");
    writeFileSync(weights, readFileSync(weights).subarray(0, 5000));
    rmSync(join(checkpoint, "optimizer.pt"));
    const scheduler = readFileSync(join(checkpoint, "scheduler.pt"));
    scheduler[100] = (scheduler[100] as number) ^ 1;
    writeFileSync(join(checkpoint, "scheduler.pt"), scheduler);
    const error = await failure(workshop.resume(checkpoint));
    expect(problemList(error)).toEqual(
      ["adapter_model.safetensors", "optimizer.pt", "scheduler.pt"].map((name) => `CHECKPOINT_INVALID ${join(checkpoint, name)}`),
    );
    expect(error.hint).toBe(
      `no earlier checkpoint is whole; start it again from its record: heirloom train --from ${join(checkpoint, "..")}`,
    );
  });

  test("whose last checkpoint is damaged goes on from the last whole one, and says so; if one is named, the whole one is named too", async () => {
    const { checkpoint } = await interrupt(workshop, { checkpoints: { everySteps: 1 } }, 3);
    const run = join(checkpoint, "..");
    for (const step of [2, 3]) writeFileSync(join(run, `checkpoint-${step}`, "optimizer.pt"), "");
    expect(await failure(workshop.resume(checkpoint))).toMatchObject({
      code: "CHECKPOINT_INVALID",
      hint: `an earlier checkpoint is whole: heirloom resume ${join(run, "checkpoint-1")}`,
    });
    const { events } = await workshop.resume(run);
    expect(events[0]).toMatchObject({ type: "started", fromStep: 1 });
    const notes = events.flatMap((event) => (event.type === "note" ? [event.message] : [])).join("\n");
    expect(notes).toMatch(/checkpoint-3 is damaged \(.*optimizer\.pt: .*\); going on from the last whole one, checkpoint-1/);
    expect(notes).toMatch(/checkpoint-2 belongs to a branch that is left, and is kept as .*checkpoint-2\.abandoned-/);
  });

  test("whose last checkpoint cannot be read now takes no earlier one for it", async () => {
    const { checkpoint } = await interrupt(workshop, { checkpoints: { everySteps: 1 } }, 2);
    const run = join(checkpoint, "..");
    rmSync(join(checkpoint, "optimizer.pt"));
    mkdirSync(join(checkpoint, "optimizer.pt"));
    const before = readdirSync(run);
    for (const path of [run, checkpoint]) expect(await failure(workshop.resume(path))).toMatchObject({ code: "FILE_UNREADABLE" });
    expect(readdirSync(run)).toEqual(before);
  });

  test("does not lose a change by going on from a checkpoint before it", async () => {
    const { checkpoint } = await interrupt(workshop, {}, 1);
    const run = join(checkpoint, "..");
    const changes = [parseSetFlag("training.steps=3")];
    await failure(workshop.resume(run, { changes, ...stopAfter(2) }));
    writeFileSync(join(run, "checkpoint-2", "optimizer.pt"), "");
    expect(await failure(workshop.resume(run))).toMatchObject({
      code: "CHECKPOINT_INVALID",
      hint: `an earlier checkpoint is whole: heirloom resume ${checkpoint}`,
    });
  });
});

describe("checkpoints", () => {
  test("are kept to the number asked for, the last ones", async () => {
    const { result } = await workshop.train({ checkpoints: { everySteps: 1, keepLast: 2 } });
    expect((await listCheckpoints(result.run)).map(({ step }) => step)).toEqual([3, 4]);
  });

  test.each([true, false])("of the lowest held-out loss outlast later ones, if that is asked for: %s", async (keepBest) => {
    // A rate that is too high: the held-out loss rises.
    const training = { learningRate: 2, schedule: "constant" };
    const checkpoints = { everySteps: 1, keepLast: 1, keepBest };
    const { result, events } = await workshop.train({ training, checkpoints, evaluation: { everySteps: 1 } });
    const measured = events.flatMap((event) => (event.type === "evaluation" && event.step > 0 ? [event] : []));
    const best = measured.reduce((least, next) => (next.loss < least.loss ? next : least)).step;
    expect(best, JSON.stringify(measured.map(({ loss }) => loss))).toBeLessThan(3);
    expect((await listCheckpoints(result.run)).map(({ step }) => step)).toEqual(keepBest ? [best, 4] : [4]);
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
