import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SampleStore } from "../../runs/fixtures/store.ts";
import { compareRuns, readChanges, readRunRecord, summarizeRun, verifyLineage } from "../../runs/index.ts";
import { paint } from "../terminal/index.ts";
import { repetitionView } from "./repetition.ts";
import { runsCompareView } from "./runs-compare.ts";
import { runsShowView } from "./runs-show.ts";

const view = { paint: paint(false), columns: 100 };
let store: SampleStore;
beforeAll(() => {
  store = new SampleStore();
});
afterAll(() => store.close());

describe("what was changed when a run was resumed", () => {
  it("is among its facts, and a difference from a run that never was", async () => {
    const step = (at: number): object => ({ type: "step", step: at, steps: 4, loss: 1 });
    const events = [step(1), { type: "resumed", fromStep: 1, changes: ["training.steps=8"] }, step(2)];
    const [run, other] = [store.add("2026-01-01-a", { events }), store.add("2026-01-02-b")];
    const [record, summary, lineage, changes] = await Promise.all([
      readRunRecord(run),
      summarizeRun(run),
      verifyLineage(run, { hashes: false }),
      readChanges(run),
    ]);
    expect(runsShowView({ record, summary, lineage, changes, result: null }, view)).toMatch(
      /changed on resume +training\.steps = 8 from update 2 on/,
    );
    const text = runsCompareView(await compareRuns(run, other), view);
    expect(text).toContain("the configurations that they began with are the same");
    expect(text).toMatch(/changed on resume +A +B\n.*training\.steps +8 from update 2 on +none/);
  });

  it("is a cause if the repetition of the run does not come out the same", () => {
    const changes = [{ what: "training.learningRate", a: "0.5 from update 3 on", b: "none" }];
    const firstDifference = { step: 4, before: 1, now: 2 };
    const rest = { of: "a", identical: false, compared: 4, firstDifference, evaluations: [], output: [], inputs: [], environment: [] };
    expect(repetitionView({ ...rest, changes }, view)).toMatch(/changed on resume: training\.learningRate +0\.5 from update 3 on +none/);
  });
});
