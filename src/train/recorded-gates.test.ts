import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runJob } from "../core/node/index.ts";
import { evaluateJob } from "./evaluate-worker.ts";
import type { TrainingEvent } from "./events.ts";
import { TinyWorkshop, tinyRows } from "./fixtures/tiny-run.ts";

let workshop: TinyWorkshop;
let adapter: string;

beforeAll(async () => {
  workshop = await TinyWorkshop.open();
  workshop.write("new.jsonl", tinyRows(5, 2));
  adapter = (await workshop.train()).result.adapter as string;
});
afterAll(() => workshop.close());

async function evaluate(request: object) {
  const notes: string[] = [];
  const onEvent = (event: TrainingEvent) => void (event.type === "note" && notes.push(event.message));
  const result = await runJob(evaluateJob, { path: adapter, against: "parent", ...request }, { inline: true, onEvent });
  return { ...result, notes };
}

describe("an evaluation that compares, without gates of its own", () => {
  test("judges the recorded gates on a parent's sets, which it evaluates too", async () => {
    const gates = [{ dataset: ["held", "parent/held"], mustNotRise: 9 }];
    const { result } = await workshop.continue(adapter, {
      data: { eval: { held: [workshop.path("new.jsonl")] } },
      evaluation: { gates },
    });
    const found = await evaluate({ path: result.run });
    expect(found.gates.map(({ dataset, ok }) => [dataset, ok])).toEqual([
      ["held", true],
      ["parent/held", true],
    ]);
    expect(found.evaluations.map(({ dataset, loss, before }) => [dataset, loss, before])).toEqual(
      result.evaluations.map(({ dataset, after, before }) => [dataset, after, before]),
    );
    // On other sets, what cannot be judged is said, and the rest is judged.
    const other = await evaluate({ path: result.run, sets: { held: [workshop.path("new.jsonl")] } });
    expect(other.gates.map(({ dataset }) => dataset)).toEqual(["held"]);
    expect(other.notes).toContain('the recorded gate on the loss of "parent/held" is not judged: that set is not evaluated here');
  });

  test("judges a gate on a parent's set that is one of the run's own on that", async () => {
    const gates = [{ dataset: "parent/held", mustNotRise: 9 }];
    const { result } = await workshop.continue(adapter, { evaluation: { gates } });
    const found = await evaluate({ path: result.run });
    expect(found.gates).toEqual([expect.objectContaining({ dataset: "held", ok: true })]);
    expect(found.evaluations.map(({ dataset }) => dataset)).toEqual(["held"]);
  });
});
