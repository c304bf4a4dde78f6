import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runJob } from "../core/node/index.ts";
import { loadModel } from "../generate/index.ts";
import { readRunResult } from "../runs/index.ts";
import { evaluateJob } from "./evaluate-worker.ts";
import type { TrainingEvent } from "./events.ts";
import { editJson } from "./fixtures/adapter-files.ts";
import { failure, stopAfter, TinyWorkshop, type Told, tinyRows } from "./fixtures/tiny-run.ts";

let workshop: TinyWorkshop;
let parent: Told;
let adapter: string;

beforeAll(async () => {
  workshop = await TinyWorkshop.open();
  workshop.write("new.jsonl", tinyRows(5, 2));
  workshop.write("qa.jsonl", [
    { prompt: "amber 0:", answer: "a" },
    { prompt: "birch 1:", answers: ["bi", "birch"] },
  ]);
  parent = await workshop.train();
  adapter = parent.result.adapter as string;
});
afterAll(() => workshop.close());

type GateTold = Extract<TrainingEvent, { type: "gate" }>;
const gatesOf = ({ events }: Told): GateTold[] => events.filter((event): event is GateTold => event.type === "gate");
const notesOf = ({ events }: Told): string[] => events.flatMap((event) => (event.type === "note" ? [event.message] : []));
const runOf = (error: { details: Readonly<Record<string, unknown>> }): string => error.details["run"] as string;

describe("a gate that fails", () => {
  test("ends a run with exit 21, sets its weights apart, and says why everywhere", async () => {
    const error = await failure(workshop.train({ evaluation: { gates: [{ dataset: "held", mustRise: true }, { mustFall: true }] } }));
    expect(error).toMatchObject({ code: "GATE_FAILED", exitCode: 21 });
    expect(error.problems).toHaveLength(1);
    expect(error.problems[0]).toMatchObject({ where: "held", details: { metric: "loss", condition: "must rise", current: null } });
    const run = runOf(error);
    expect(existsSync(join(run, "adapter"))).toBe(false);
    expect(readdirSync(join(run, "rejected"))).toContain("adapter_model.safetensors");
    const result = await readRunResult(run);
    expect(result).toMatchObject({ output: "rejected", measures: { current: null, gates: [{ ok: false }, { ok: true }] } });
    const log = readFileSync(join(run, "events.jsonl"), "utf8");
    expect(log).toContain('"type":"gate"');
    expect(log.trimEnd().split("\n").at(-1)).toContain("GATE_FAILED");
  });

  test("leaves the parent current, and nothing takes the rejected weights up by itself", async () => {
    const error = await failure(workshop.continue(adapter, { evaluation: { gates: [{ atMost: 0.001 }] } }));
    const run = runOf(error);
    expect(error.details).toMatchObject({ current: adapter, rejected: join(run, "rejected") });
    expect(error.hint).toContain(`${adapter} stays current`);
    const evaluated = () => runJob(evaluateJob, { path: run }, { inline: true });
    for (const take of [() => loadModel(run), () => workshop.continue(run), evaluated]) {
      const refused = await failure(take());
      expect(refused).toMatchObject({ code: "GATE_FAILED", exitCode: 21 });
      expect(refused.hint).toContain(adapter);
      expect(refused.hint).toContain(join(run, "rejected"));
    }
    const named = await workshop.continue(join(run, "rejected"));
    expect(gatesOf(named).map(({ ok }) => ok)).toEqual([true]);
    // Resumed, it comes to the same end.
    expect(await failure(workshop.resume(run))).toMatchObject({ code: "GATE_FAILED" });
  });

  test("on a set that there is not is refused before anything is read of the weights", async () => {
    const gates = [{ dataset: "parent/gone", mustNotRise: 0.02 }];
    expect(await failure(workshop.continue(adapter, { evaluation: { gates } }))).toMatchObject({ code: "CONFIG_INVALID", exitCode: 10 });
  });
});

describe("the load of a continuation", () => {
  test("is proved by a first loss that is the parent's last, to the bit", async () => {
    const told = await workshop.continue(adapter);
    expect(gatesOf(told)).toEqual([expect.objectContaining({ ok: true, condition: "must be the parent's last to the bit" })]);
    expect(told.result.evaluations[0]?.before).toBe(parent.result.evaluations[0]?.after);
  });

  test("that scaled a tensor by a thousandth is noticed before the first update", async () => {
    const name = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.default.weight";
    const events: string[] = [];
    const faults = { freeze: [], ledgerCheck: true, scale: [{ name, factor: 1.001 }] };
    const error = await failure(workshop.continue(adapter, {}, [], { faults, onEvent: ({ type }) => void events.push(type) }));
    expect(error).toMatchObject({ code: "GATE_FAILED", exitCode: 21 });
    expect(error.message).toContain("the weights are not those that were saved");
    expect(events).not.toContain("step");
  });

  test("is noticed in a resumed run, too, if the checkpoint was evaluated", async () => {
    const values = { evaluation: { everySteps: 2 } };
    const { details } = await failure(workshop.train(values, stopAfter(2)));
    const name = "base_model.model.lm_head.modules_to_save.default.weight";
    const faults = { freeze: [], ledgerCheck: true, scale: [{ name, factor: 1.01 }] };
    expect(await failure(workshop.resume(details["checkpoint"] as string, { faults }))).toMatchObject({ code: "GATE_FAILED" });
    const told = await workshop.resume(details["checkpoint"] as string);
    expect(gatesOf(told)).toEqual([expect.objectContaining({ ok: true, condition: "must be the checkpoint's last to the bit" })]);
  });

  test("owes 1e-5 with a grown rank, and nothing where the base is another", async () => {
    const grown = await workshop.continue(adapter, {}, ["rank=8"]);
    expect(gatesOf(grown)).toEqual([expect.objectContaining({ ok: true, condition: "must be the parent's last within 1e-5" })]);
    const unquantized = await workshop.continue(adapter, { quantization: "none" }, ["quantization"]);
    expect(gatesOf(unquantized)).toEqual([]);
    expect(notesOf(unquantized).some((note) => note.includes("another quantization"))).toBe(true);
  });
});

describe("a parent's held-out sets", () => {
  test("are evaluated before and after, if their rows are not evaluated anyway", async () => {
    const values = {
      data: { eval: { fresh: workshop.path("new.jsonl") } },
      evaluation: { gates: [{ dataset: "parent/held", mustNotRise: 9 }] },
    };
    const eval_ = { data: { eval: { held: [workshop.path("new.jsonl")] } } };
    const told = await workshop.continue(adapter, eval_);
    expect(told.result.evaluations.map(({ dataset }) => dataset)).toEqual(["held", "parent/held"]);
    expect(told.result.evaluations[1]?.before).toBe(parent.result.evaluations[0]?.after);
    const same = await workshop.continue(adapter, values);
    // Evaluated once, under the run's own name.
    expect(same.result.evaluations.map(({ dataset }) => dataset)).toEqual(["held", "fresh"]);
    expect(same.result.gates).toEqual([expect.objectContaining({ dataset: "held", ok: true })]);
  });

  test("are left out with a note if their files changed or are gone, and in silence if that is asked for", async () => {
    const scene = await TinyWorkshop.open();
    const { result } = await scene.train();
    const data = { eval: { held: [scene.write("new.jsonl", tinyRows(5, 2))] } };
    const off = await scene.continue(result.run, { data, evaluation: { parentSets: false } });
    expect(off.result.evaluations).toHaveLength(1);
    scene.write("eval.jsonl", tinyRows(5, 3));
    const changed = await scene.continue(result.run, { data });
    scene.close();
    expect(changed.result.evaluations).toHaveLength(1);
    expect(notesOf(changed).some((note) => note.startsWith('the held-out set "parent/held" is not evaluated'))).toBe(true);
  });

  test("are evaluated again when the run is resumed", async () => {
    const data = { eval: { held: [workshop.path("new.jsonl")] } };
    const { details } = await failure(workshop.continue(adapter, { data, training: { steps: 3 } }, [], stopAfter(1)));
    const told = await workshop.resume(details["checkpoint"] as string);
    expect(told.result.evaluations.map(({ dataset }) => dataset)).toEqual(["held", "parent/held"]);
  });
});

describe("answers and samples", () => {
  test("are kept side by side, in the events, the result and its file, and can be gated", async () => {
    const evaluation = {
      answers: { qa: workshop.path("qa.jsonl") },
      answerTokens: 3,
      samplePrompts: ["amber 0:"],
      sampleTokens: 3,
      gates: [{ dataset: "qa", metric: "f1", atLeast: 0 }],
    };
    const told = await workshop.train({ evaluation });
    expect(told.events.filter(({ type }) => type === "answers")).toHaveLength(2);
    const [answers] = told.result.answers;
    expect(answers).toMatchObject({ dataset: "qa", rows: 2 });
    expect(told.result.samples).toEqual([
      { prompt: "amber 0:", before: expect.any(String) as unknown, after: expect.any(String) as unknown },
    ]);
    expect(told.result.gates).toEqual([expect.objectContaining({ dataset: "qa", metric: "f1", ok: true })]);
    const { answers: kept, samples } = (await readRunResult(told.result.run))?.measures ?? {};
    expect({ kept, samples }).toEqual({ kept: told.result.answers, samples: told.result.samples });
  });

  test("of a row that is none are refused with its place", async () => {
    const file = workshop.write("bad-qa.jsonl", [
      { prompt: "a" },
      { prompt: "b", answers: [] },
      { messages: [{ role: "user", content: "c" }] },
    ]);
    const error = await failure(workshop.train({ evaluation: { answers: file } }));
    expect(error.problems.map(({ code, where }) => `${code} ${where?.split(":").at(-1) ?? ""}`)).toEqual(
      [1, 2, 3].map((row) => `DATA_FORMAT_INVALID ${row}`),
    );
  });
});

describe("early stopping", () => {
  /** A rate that makes the held-out loss rise after a while. */
  const values = {
    training: { steps: 12, learningRate: 0.5, schedule: "constant", groups: [] },
    evaluation: { everySteps: 1, earlyStopping: { patience: 2 } },
  };

  test("ends the run normally, says so, and keeps the weights of the lowest loss", async () => {
    const told = await workshop.train(values);
    const { stopped, keptStep, steps, evaluations, run } = told.result;
    const losses = told.events.flatMap((event) => (event.type === "evaluation" && event.step > 0 ? [event.loss] : []));
    expect(stopped).toMatchObject({ step: steps, steps: 12, best: { step: keptStep } });
    expect(keptStep).toBe(steps - 2);
    expect(evaluations[0]?.after).toBe(Math.min(...losses));
    const bytes = (folder: string): string => readFileSync(join(run, folder, "adapter_model.safetensors")).toString("base64");
    expect(bytes("adapter")).toBe(bytes(`checkpoint-${keptStep}`));
    expect(told.events.at(-1)).toMatchObject({ type: "finished", step: steps, steps: 12 });
    const again = await workshop.resume(run);
    expect(again.result).toMatchObject({ stopped, keptStep, evaluations });
  });

  test("stops where it would have after an interruption, with the same bytes", async () => {
    const whole = await workshop.train(values);
    const { details } = await failure(workshop.train(values, stopAfter(whole.result.steps - 1)));
    const resumed = await workshop.resume(details["checkpoint"] as string);
    const { stopped, keptStep, evaluations } = whole.result;
    expect(resumed.result).toMatchObject({ stopped, keptStep, evaluations });
    const weights = ({ result }: Told): string => readFileSync(join(result.run, "adapter", "adapter_model.safetensors")).toString("base64");
    expect(weights(resumed)).toBe(weights(whole));
  });

  test("keeps the last weights where that is asked for", async () => {
    const { result } = await workshop.train({
      ...values,
      evaluation: { everySteps: 1, earlyStopping: { patience: 2, restoreBest: false } },
    });
    expect(result.keptStep).toBe(result.steps);
    expect(result.stopped).not.toBeNull();
  });
});

describe("an evaluation by itself", () => {
  const evaluate = (request: object) => runJob(evaluateJob, { path: adapter, ...request }, { inline: true });

  test("compares with another adapter on the same sets, and judges gates", async () => {
    const { result } = await workshop.continue(adapter);
    const sets = { held: [workshop.path("eval.jsonl")], fresh: [workshop.path("new.jsonl")] };
    const none = {
      metric: "loss" as const,
      dataset: ["held"],
      mustFall: null,
      mustRise: null,
      mustNotRise: null,
      mustNotFall: null,
      atMost: null,
      atLeast: null,
    };
    const request = { path: result.run, sets, answers: { qa: [workshop.path("qa.jsonl")] }, answerTokens: 2, against: "parent" };
    const found = await evaluate({
      ...request,
      gates: [
        { ...none, mustFall: 0 },
        { ...none, mustRise: 0 },
      ],
    });
    expect(found.against).toBe(adapter);
    expect(found.evaluations.map(({ dataset }) => dataset)).toEqual(["held", "fresh"]);
    expect(found.answers).toEqual([expect.objectContaining({ dataset: "qa", rows: 2, before: expect.any(Object) as unknown })]);
    expect(new Set(found.gates.map(({ ok }) => ok))).toEqual(new Set([false, true]));
    expect(await failure(evaluate({ path: adapter, against: "parent" }))).toMatchObject({ code: "FILE_MISSING" });
    expect(await failure(evaluate({ sets, gates: [{ ...none, mustFall: 0 }] }))).toMatchObject({ code: "CONFIG_INVALID" });
  });
});

test("a record of an earlier version, without conditions, owes 1e-5", async () => {
  const scene = await TinyWorkshop.open();
  const { result } = await scene.train();
  const path = join(result.adapter as string, "heirloom.json");
  const { evaluations } = JSON.parse(readFileSync(path, "utf8")) as { evaluations: { conditions?: object }[] };
  editJson(path, { evaluations: evaluations.map(({ conditions: _, ...rest }) => rest) });
  const told = await scene.continue(result.run);
  scene.close();
  expect(gatesOf(told)).toEqual([expect.objectContaining({ ok: true, condition: "must be the parent's last within 1e-5" })]);
});
