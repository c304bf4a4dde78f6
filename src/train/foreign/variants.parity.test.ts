import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseChanges } from "../../config/index.ts";
import { readRunRecord, verifyLineage } from "../../runs/index.ts";
import { readLog } from "../checkpoint/index.ts";
import type { TrainingEvent } from "../events.ts";
import { editJson } from "../fixtures/adapter-files.ts";
import { failure, losses, problemList, TinyWorkshop } from "../fixtures/tiny-run.ts";
import { resume, resumeTrainer } from "../train.ts";
import { HANDOVER_CHANGES, locateTrainerCheckpoint, resolveHandover } from "./index.ts";

const VECTORS = resolve("vectors/trainer-variants");
/** Between fp32 implementations, losses of a training run (vectors/README.md). */
const LOSS_TOLERANCE = 2e-5;

interface Step {
  readonly step: number;
  readonly loss: number;
  readonly learning_rate: number;
}
const { logs } = JSON.parse(readFileSync(join(VECTORS, "steps.json"), "utf8")) as { logs: Record<string, Step[]> };

let workshop: TinyWorkshop;
beforeAll(async () => {
  workshop = await TinyWorkshop.open({ deviation: 0.1 });
});
afterAll(() => workshop.close());

const given = (values: object = {}): { path: string; text: string } => ({
  path: workshop.path("run.json"),
  text: JSON.stringify({
    base: workshop.base,
    output: workshop.output,
    quantization: "none",
    data: { train: join(VECTORS, "train.jsonl"), maxLength: 48 },
    engine: { threads: 1 },
    ...values,
  }),
});
const request = (name: string, values: object = {}, changes: readonly string[] = []) => ({
  checkpoint: name.includes("/") ? name : join(VECTORS, name, "checkpoint-3"),
  sources: { file: given(values) },
  changes: parseChanges(changes, HANDOVER_CHANGES),
});
async function goOn(name: string, values: object = {}, changes: readonly string[] = []) {
  const events: TrainingEvent[] = [];
  const result = await resumeTrainer(request(name, values, changes), { inline: true, onEvent: (event) => void events.push(event) });
  return { result, events, losses: losses(events) };
}
const copy = (name: string): string => {
  const folder = workshop.path(`${name}-${Math.random().toString(36).slice(2)}`, "checkpoint-3");
  cpSync(join(VECTORS, name, "checkpoint-3"), folder, { recursive: true });
  return folder;
};
const farthest = (found: readonly number[], name: string, after: number): number => {
  const expected = (logs[name] ?? []).filter(({ step }) => step > after).map(({ loss }) => loss);
  expect(found).toHaveLength(expected.length);
  return Math.max(...found.map((loss, i) => Math.abs(loss - (expected[i] ?? Number.NaN))));
};

describe("another trainer's run is gone on with", () => {
  test.each([
    ["unsloth", { non_embeddings: 2e-3, embeddings: 3e-4 }],
    ["loraplus", { groupA: 1e-3, groupB: 8e-3 }],
  ])("from %s's groups, on the losses that it went on with itself", async (name, peaks) => {
    const { result, events, losses: found } = await goOn(name);
    expect(farthest(found, name, 3)).toBeLessThan(LOSS_TOLERANCE);
    const first = events.find((event) => event.type === "step");
    expect(first).toMatchObject({ step: 4, steps: 6 });
    const [, other] = Object.entries(peaks) as [[string, number], [string, number]];
    const record = await readRunRecord(result.run);
    expect(record.config.training).toMatchObject({
      schedule: "cosine",
      warmupSteps: 1,
      steps: 6,
      batchSize: 2,
      accumulation: 2,
      maxGradNorm: 0.5,
      seed: 11,
      betas: [0.9, 0.98],
      epsilon: 1e-7,
      learningRate: Object.values(peaks)[0],
      groups: [{ name: other[0], learningRate: other[1] }],
    });
    expect(record.provenance["training.schedule"]).toBe("inherited");
  });

  test("as a run whose parent is the checkpoint, by the hashes of all that was taken from it", async () => {
    const checkpoint = copy("unsloth");
    const { result, events } = await goOn(checkpoint);
    const { parent, assumptions, kind } = await readRunRecord(result.run);
    expect(kind).toBe("continue");
    expect(Object.keys(parent?.files ?? {})).toEqual(["adapter_config.json", "adapter_model.safetensors"]);
    expect(Object.keys(parent?.state ?? {})).toEqual(["optimizer.pt", "scheduler.pt", "trainer_state.json", "training_args.bin"]);
    // Said on the spot, and kept.
    const notes = events.flatMap((event) => (event.type === "note" ? [event.message] : []));
    expect(assumptions.some((line) => line.includes("random numbers: those of PyTorch and Python cannot be handed over"))).toBe(true);
    expect(notes).toEqual(expect.arrayContaining([...assumptions]));
    expect((await verifyLineage(result.run)).ok).toBe(true);
    writeFileSync(join(checkpoint, "optimizer.pt"), "other bytes");
    const { ok, links } = await verifyLineage(result.run);
    expect(ok).toBe(false);
    expect(links.filter(({ state }) => state === "changed")).toMatchObject([
      { what: "parent state", path: join(checkpoint, "optimizer.pt") },
    ]);
  });

  test("and its own checkpoints are resumed as any, the log of both runs in them", async () => {
    const { result, losses: whole } = await goOn("loraplus", { checkpoints: { everySteps: 1 } });
    const seen: TrainingEvent[] = [];
    await resume(join(result.run, "checkpoint-5"), { inline: true, onEvent: (event) => void seen.push(event) });
    expect(losses(seen)).toEqual(whole.slice(2));
    expect((await readLog(join(result.run, "checkpoint-6"))).map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test("with a change that is named", async () => {
    const { losses: found } = await goOn("unsloth", { training: { steps: 8 } }, ["steps"]);
    expect(found).toHaveLength(5);
    const { config } = await resolveHandover(request("unsloth", {}, ["learningRate=1e-3", "dropout=0.1"]));
    expect(config).toMatchObject({ training: { learningRate: 1e-3 }, adapter: { dropout: 0.1 } });
  });
});

describe("going on with another trainer's run is refused", () => {
  test("where the configuration contradicts the checkpoint, all at once", async () => {
    const values = {
      adapter: { alpha: 8 },
      training: { steps: 12, learningRate: 1e-4, schedule: "linear", accumulation: 4, warmupSteps: 2, maxGradNorm: 1 },
    };
    const error = await failure(goOn("unsloth", values));
    const keys = ["accumulation", "learningRate", "maxGradNorm", "schedule", "steps", "warmupSteps"];
    expect(problemList(error).sort()).toEqual(["CONTINUE_CHANGED adapter.alpha", ...keys.map((key) => `RESUME_CHANGED training.${key}`)]);
  });

  test("but not for the same groups in other words", async () => {
    const groups = [{ name: "copies", match: ["*.modules_to_save*"], learningRateRatio: 0.15 }];
    const { config } = await resolveHandover(request("unsloth", { training: { groups } }));
    expect(config.training.groups[0]).toMatchObject({ name: "copies" });
  });

  test("if full copies were frozen in it, by their names", async () => {
    const error = await failure(goOn("frozen"));
    expect(error).toMatchObject({ code: "HANDOVER_UNSUPPORTED", exitCode: 12 });
    expect(error.message).toContain("embed_tokens.modules_to_save.default.weight");
    expect(error.hint).toContain("heirloom continue");
  });

  test("if its schedule does not give the rates that it was about to use", async () => {
    const checkpoint = copy("unsloth");
    editJson(join(checkpoint, "trainer_state.json"), { max_steps: 7 });
    expect(problemList(await failure(goOn(checkpoint)))).toEqual([
      `HANDOVER_UNSUPPORTED ${checkpoint}, group non_embeddings`,
      `HANDOVER_UNSUPPORTED ${checkpoint}, group embeddings`,
    ]);
  });

  test("without what it takes: state files, quantization, an update that is left", async () => {
    const checkpoint = copy("unsloth");
    editJson(join(checkpoint, "trainer_state.json"), { global_step: 4 });
    for (const file of ["optimizer.pt", "training_args.bin"]) rmSync(join(checkpoint, file));
    const error = await failure(goOn(checkpoint, { quantization: undefined }, ["steps=4"]));
    expect(error.code).toBe("HANDOVER_INCOMPLETE");
    expect(problemList(error)).toEqual([
      `HANDOVER_INCOMPLETE ${checkpoint}/optimizer.pt`,
      `HANDOVER_UNSUPPORTED ${checkpoint}`,
      "HANDOVER_INCOMPLETE training.schedule",
      "HANDOVER_INCOMPLETE training.accumulation",
      "HANDOVER_INCOMPLETE training.maxGradNorm",
      "HANDOVER_INCOMPLETE training.warmupSteps",
      "HANDOVER_INCOMPLETE quantization",
      `HANDOVER_INCOMPLETE ${checkpoint}`,
    ]);
  });

  test("if the tensors would be others than those of the optimizer's state", async () => {
    expect(problemList(await failure(goOn("unsloth", {}, ["rank=4"])))).toContain("CONTINUE_CHANGE_INVALID --change rank");
  });
});

test("without training_args.bin, what it would say comes from the configuration", async () => {
  const checkpoint = copy("unsloth");
  rmSync(join(checkpoint, "training_args.bin"));
  const training = { schedule: "cosine", warmupRatio: 0.1, accumulation: 2, maxGradNorm: 0.5 };
  const { losses: found } = await goOn(checkpoint, { training });
  expect(farthest(found, "unsloth", 3)).toBeLessThan(LOSS_TOLERANCE);
});

test("a Trainer's checkpoint, and the last in its output folder, are told from ours", async () => {
  const output = join(VECTORS, "unsloth");
  expect(await locateTrainerCheckpoint(output)).toBe(join(output, readdirSync(output)[0] ?? ""));
  expect(await locateTrainerCheckpoint(join(output, "checkpoint-3"))).toBe(join(output, "checkpoint-3"));
  const { result } = await workshop.train();
  expect(await locateTrainerCheckpoint(result.run)).toBeNull();
  expect(await locateTrainerCheckpoint(join(result.run, "checkpoint-4"))).toBeNull();
  expect(await locateTrainerCheckpoint(workshop.path("nowhere"))).toBeNull();
});
