import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseSetFlag } from "../config/index.ts";
import { readRunResult } from "../runs/index.ts";
import { failure, interrupt, TinyWorkshop } from "./fixtures/tiny-run.ts";

let workshop: TinyWorkshop;
const rows = [
  { prompt: "amber 0:", answer: "a" },
  { prompt: "birch 1:", answers: ["bi", "birch"] },
];

beforeAll(async () => {
  workshop = await TinyWorkshop.open();
  workshop.write("qa.jsonl", rows);
  workshop.write("more-qa.jsonl", [...rows, { prompt: "cedar 2:", answer: "ced" }]);
});
afterAll(() => workshop.close());

describe("a run that is resumed with another evaluation", () => {
  const evaluation = () => ({
    answers: { qa: workshop.path("qa.jsonl"), kept: workshop.path("qa.jsonl") },
    answerTokens: 2,
    samplePrompts: ["amber 0:", "birch 1:"],
    sampleTokens: 3,
  });
  const setFlag = (key: string, value: unknown) => parseSetFlag(`evaluation.${key}=${JSON.stringify(value)}`);

  test("has nothing before for answers and prompts that were not there, and pairs samples by their prompt", async () => {
    const { checkpoint } = await interrupt(workshop, { evaluation: evaluation() }, 2);
    const changes = [
      setFlag("answers.fresh", workshop.path("qa.jsonl")),
      setFlag("answers.qa", workshop.path("more-qa.jsonl")),
      setFlag("samplePrompts", ["cedar 2:", "birch 1:", "amber 0:"]),
    ];
    const { result } = await workshop.resume(checkpoint, { changes });
    const before = Object.fromEntries(result.answers.map((found) => [found.dataset, found.before]));
    // "qa" has other rows now, so that its scores of before are not comparable.
    expect(before).toEqual({
      qa: null,
      kept: { exactMatch: expect.any(Number) as unknown, f1: expect.any(Number) as unknown },
      fresh: null,
    });
    const whole = await workshop.train({ evaluation: evaluation() });
    const first = new Map(whole.result.samples.map((sample) => [sample.prompt, sample.before]));
    expect(first.get("amber 0:")).not.toBe(first.get("birch 1:"));
    expect(result.samples.map((sample) => [sample.prompt, sample.before])).toEqual([
      ["cedar 2:", null],
      ["birch 1:", first.get("birch 1:")],
      ["amber 0:", first.get("amber 0:")],
    ]);
    expect((await readRunResult(result.run))?.measures).toMatchObject({ answers: result.answers, samples: result.samples });
  });

  test("fails a gate that compares with what was not measured", async () => {
    const { checkpoint } = await interrupt(workshop, { evaluation: evaluation() }, 2);
    const changes = [
      setFlag("answers.fresh", workshop.path("qa.jsonl")),
      setFlag("gates", [{ dataset: "fresh", metric: "f1", mustNotFall: true }]),
    ];
    const error = await failure(workshop.resume(checkpoint, { changes }));
    expect(error).toMatchObject({ code: "GATE_FAILED", details: { before: null } });
    expect(error.message).toContain("expected a value before to compare with, found none");
    expect((await readRunResult(join(checkpoint, "..")))?.measures?.answers.find(({ dataset }) => dataset === "fresh")?.before).toBeNull();
  });
});
