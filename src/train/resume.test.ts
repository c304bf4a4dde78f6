import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { withValues } from "../engine/fixtures/tiny-model.ts";
import { listCheckpoints } from "../runs/index.ts";
import { editJson, rewriteTensors } from "./fixtures/adapter-files.ts";
import { contents, failure, losses, problemList, stopAfter, TinyWorkshop, type Told, tinyRows } from "./fixtures/tiny-run.ts";

type Values = Readonly<Record<string, unknown>>;
let workshop: TinyWorkshop;

beforeAll(async () => {
  workshop = await TinyWorkshop.open();
});
afterAll(() => workshop.close());

/** Runs until an update is done, and gives the checkpoint that the interruption names. */
async function interrupt(values: Values, step: number): Promise<{ checkpoint: string; losses: number[] }> {
  const stop = stopAfter(step);
  const seen: number[] = [];
  const onEvent: NonNullable<typeof stop.onEvent> = (event) => {
    if (event.type === "step") seen.push(event.loss);
    stop.onEvent?.(event);
  };
  const error = await failure(workshop.train(values, { ...stop, onEvent }));
  expect(error).toMatchObject({ code: "INTERRUPTED", exitCode: 130, details: { step } });
  return { checkpoint: error.details["checkpoint"] as string, losses: seen };
}

/** Files of the final adapter (or model) and of the last checkpoint, with the run's id taken out. */
function results({ result }: Told): Record<string, unknown> {
  const final = contents(result.adapter ?? join(result.run, "model"));
  const last = contents(join(result.run, "checkpoint-4"));
  const record = final["heirloom.json"];
  if (record !== undefined)
    final["heirloom.json"] = { ...(JSON.parse(Buffer.from(record, "base64").toString()) as object), run: "" } as unknown as string;
  delete last["heirloom.json"];
  return { final, last };
}

const CASES: readonly (readonly [string, Values, number])[] = [
  ["an adapter with full copies, in its warm-up", { training: { warmupSteps: 2 } }, 1],
  [
    "dropout, packing, accumulation and bf16 copies, between two epochs",
    {
      adapter: { dropout: 0.2, fullCopyDtype: "bf16" },
      training: { batchSize: 1, accumulation: 2, weightDecay: 0.01 },
      data: { maxLength: 32 },
    },
    2,
  ],
  [
    "unpacked batches and recomputation",
    { data: { packing: false }, training: { batchSize: 5, accumulation: 2 }, engine: { activations: "recompute" } },
    3,
  ],
  ["all weights of the base", { quantization: "none", fullParameter: true, adapter: "none", training: { groups: [] } }, 2],
];

describe("a resumed run", () => {
  test.each(CASES)("ends in the same bytes as one that was never interrupted: %s", async (_what, values, step) => {
    const whole = await workshop.train(values);
    const first = await interrupt(values, step);
    const rest = await workshop.resume(first.checkpoint);
    expect([...first.losses, ...losses(rest.events)]).toEqual(losses(whole.events));
    expect(rest.result.tokens).toBe(whole.result.tokens);
    expect(results(rest)).toEqual(results(whole));
  });

  test("goes on from the last checkpoint of the run that is named, in the same record and log", async () => {
    const { checkpoint } = await interrupt({ checkpoints: { everySteps: 1 } }, 2);
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
    const { checkpoint } = await interrupt({}, 1);
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
    const { checkpoint } = await interrupt({}, 1);
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
    const { checkpoint } = await interrupt({}, 1);
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
    expect((await listCheckpoints(result.run)).map(({ step }) => step)).toEqual([3, 4]);
  });

  test("carry no held-out loss that was measured on other weights", async () => {
    const { checkpoint } = await interrupt({ evaluation: { everySteps: 2 } }, 3);
    expect((JSON.parse(readFileSync(join(checkpoint, "heirloom.json"), "utf8")) as { evaluations: unknown }).evaluations).toEqual([]);
  });
});
