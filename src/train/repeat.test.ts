import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openFolder } from "../core/node/index.ts";
import { readAdapterRecord, readRunRecord } from "../runs/index.ts";
import { editJson } from "./fixtures/adapter-files.ts";
import { failure, interrupt, TinyWorkshop, tinyRows } from "./fixtures/tiny-run.ts";
import { repeatRun } from "./repeat.ts";

let workshop: TinyWorkshop;
/** A chat template that prints the date: repeated on another day, it must print the first one. */
const DATED = "{% for message in messages %}{{ strftime_now('%H:%M:%S') }} {{ message['content'] }}{% endfor %}";
const INLINE = { inline: true } as const;

beforeAll(async () => {
  workshop = await TinyWorkshop.open();
});
afterAll(() => workshop.close());

describe("a run that is repeated from its record", () => {
  test("is the same in every bit, in a run of its own, with dropout, packing and a template that prints the time", async () => {
    const scene = await TinyWorkshop.open();
    writeFileSync(scene.path("dated.jinja"), DATED);
    scene.write(
      "train.jsonl",
      tinyRows(8).map(({ prompt, completion }) => ({
        messages: [
          { role: "user", content: prompt },
          { role: "assistant", content: completion },
        ],
      })),
    );
    const { result } = await scene.train({ data: { template: scene.path("dated.jinja"), maxLength: 96 }, adapter: { dropout: 0.2 } });
    const repeated = await repeatRun(result.run, INLINE);
    const [before, now] = await Promise.all([readRunRecord(result.run), readRunRecord(repeated.run)]);
    expect(repeated.run).not.toBe(result.run);
    expect(repeated.repetition).toEqual({
      of: before.id,
      identical: true,
      compared: 4,
      firstDifference: null,
      evaluations: [],
      output: [],
      changes: [],
      inputs: [],
      environment: [],
    });
    expect(now).toMatchObject({ repeats: before.id, startedAt: before.startedAt, config: before.config, provenance: before.provenance });
    expect(now.createdAt > before.createdAt).toBe(true);
    const folder = await openFolder(join(repeated.run, "adapter"));
    expect(await readAdapterRecord(folder)).toMatchObject({ startedAt: before.startedAt, run: now.id });
    await folder.close();
    scene.close();
  });

  test("may be a continuation, its allowed changes included, and may go to another folder", async () => {
    const { result } = await workshop.train();
    const continued = await workshop.continue(result.run, {}, ["rank=6"]);
    const output = workshop.path("elsewhere");
    const repeated = await repeatRun(continued.result.run, { ...INLINE, output });
    expect(repeated.run.startsWith(output)).toBe(true);
    expect(repeated.repetition).toMatchObject({ identical: true, compared: 2, output: [] });
    // A record of version 1 does not say what was allowed to change.
    editJson(join(continued.result.run, "run.json"), { changed: null });
    expect((await repeatRun(continued.result.run, INLINE)).repetition.identical).toBe(true);
  });

  test("names the first loss that differs, and each input and part of the environment that is not what it was", async () => {
    const scene = await TinyWorkshop.open();
    const { result } = await scene.train();
    scene.write("train.jsonl", tinyRows(12, 3));
    const record = join(result.run, "run.json");
    const { environment } = JSON.parse(readFileSync(record, "utf8")) as { environment: object };
    editJson(record, { environment: { ...environment, threads: 3, cpuFeatures: "avx512f" } });
    const { repetition } = await repeatRun(result.run, INLINE);
    expect(repetition.identical).toBe(false);
    expect(repetition.firstDifference?.step).toBe(1);
    expect(repetition.firstDifference?.before).not.toBe(repetition.firstDifference?.now);
    expect(repetition.evaluations).toEqual(["held"]);
    expect(repetition.output).toEqual(["adapter_model.safetensors"]);
    expect(repetition.inputs.map(({ what }) => what)).toEqual(["training data"]);
    expect(repetition.environment.map(({ what }) => what).sort()).toEqual(["cpuFeatures", "threads"]);
    scene.close();
  });

  test("is not called the same if the one before was stopped: its losses are compared as far as they go", async () => {
    const { checkpoint } = await interrupt(workshop, {}, 2);
    const { repetition } = await repeatRun(join(checkpoint, ".."), INLINE);
    expect(repetition).toMatchObject({ identical: false, compared: 2, firstDifference: { step: 3, before: null }, output: null });
  });

  test("goes all the way as the run began, and names what that one had otherwise after it was resumed", async () => {
    const { checkpoint } = await interrupt(workshop, {}, 2);
    const { result } = await workshop.resume(checkpoint, {
      changes: [{ key: "training.learningRate", value: 0.5, flag: "--change training.learningRate=0.5" }],
    });
    const changes = [{ what: "training.learningRate", a: "0.5 from update 3 on", b: "none" }];
    const { repetition } = await repeatRun(result.run, INLINE);
    // The rate of update 3 changes the loss of update 4.
    expect(repetition).toMatchObject({ identical: false, firstDifference: { step: 4 }, changes, inputs: [], environment: [] });
  });

  test("needs its inputs and a whole record", async () => {
    const { result } = await workshop.train();
    const { result: continued } = await workshop.continue(result.run);
    editJson(join(continued.run, "run.json"), { parent: null });
    expect(await failure(repeatRun(continued.run, INLINE))).toMatchObject({ code: "RECORD_INVALID" });
    rmSync(workshop.path("eval.jsonl"));
    expect(await failure(repeatRun(result.run, INLINE))).toMatchObject({ code: "FILE_MISSING" });
    expect(await failure(repeatRun(workshop.path("nowhere"), INLINE))).toMatchObject({ code: "FILE_MISSING" });
  });
});
