import { describe, expect, it } from "vitest";
import type { DemoStage } from "../../train/index.ts";
import { paint } from "../terminal/index.ts";
import { demoView } from "./demo.ts";

const stage = (name: DemoStage["name"], what: string, more: Partial<DemoStage> = {}): DemoStage => ({
  name,
  what,
  trainable: 10,
  all: 20,
  percent: 50,
  evalLossBefore: null,
  evalLossAfter: null,
  evaluations: [],
  seconds: 1,
  refused: false,
  code: null,
  ...more,
});
const frozen = { refused: true, code: "LEDGER_MISMATCH" };
const view = { paint: paint(false), columns: 100 };

describe("the demo's table", () => {
  it("tells the two frozen attempts apart, by number and by what each tries", () => {
    const text = demoView(
      { ok: true, stages: [stage("train", "a"), stage("frozen", "with it", frozen), stage("frozen", "without it", frozen)] },
      view,
    );
    expect(text).toMatch(/^2 frozen .*refused: LEDGER_MISMATCH\n3 frozen /m);
    expect(text).toContain("\n2  with it\n3  without it\n");
    expect(text).not.toContain("rose from");
  });

  it("says what the continuation lost on the data that it did not see", () => {
    const evaluations = [
      { dataset: "definitions", before: 3.54, after: 4.5 },
      { dataset: "verses", before: 5, after: 4 },
    ];
    const text = demoView({ ok: true, stages: [stage("continue", "c", { evaluations })] }, view);
    expect(text).toContain("the held-out loss on definitions rose from 3.5400 to 4.5000");
    expect(text).not.toContain("loss on verses rose");
  });
});
