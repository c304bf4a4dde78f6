import { describe, expect, test } from "vitest";
import { parseGate } from "../../config/index.ts";
import type { EvaluationRecord } from "../../runs/index.ts";
import { EarlyStopping, gateError, judgeGates, type Owed, requireKnownSets, sameLosses, samenessError } from "./index.ts";
import type { Measured } from "./judge.ts";

const measured = (old: number, fresh: number, exactMatch = 0.5): Measured => ({
  evaluations: [
    { dataset: "old", loss: old },
    { dataset: "new", loss: fresh },
  ],
  answers: [{ dataset: "qa", exactMatch, f1: exactMatch }],
});
const verdicts = (gate: string, before: Measured, after: Measured): boolean[] =>
  judgeGates([parseGate(gate)], { before, after }).map(({ ok }) => ok);

describe("a gate", () => {
  test.each([
    ["dataset: old, mustNotRise: 0.02", 2, 2.04, true],
    ["dataset: old, mustNotRise: 0.02", 2, 2.0401, false],
    ["dataset: old, mustNotRise: true", 2, 2, true],
    ["dataset: old, mustFall: true", 2, 2, false],
    ["dataset: old, mustFall: true", 2, 1.9999, true],
    ["dataset: old, mustFall: 0.1", 2, 1.8, true],
    ["dataset: old, mustFall: 0.1", 2, 1.81, false],
    ["dataset: old, mustRise: true", 2, 2.1, true],
    ["dataset: old, mustNotFall: 0.5", 2, 0.9, false],
    ["dataset: old, atMost: 1.5", 2, 1.5, true],
    ["dataset: old, atLeast: 1.5", 2, 1.4, false],
    ["dataset: old, metric: perplexity, atMost: 2.72", 2, 1, true],
  ])("that says %j passes a loss from %d to %d: %s", (gate, before, after, ok) => {
    expect(verdicts(gate, measured(before, 1), measured(after, 1))).toEqual([ok]);
  });

  test("without a name is judged on every set that has its metric", () => {
    expect(verdicts("mustFall: true", measured(2, 2), measured(1, 3))).toEqual([true, false]);
    expect(verdicts("metric: exactMatch, mustRise: true", measured(1, 1, 0.5), measured(1, 1, 0.75))).toEqual([true]);
  });

  test("that fails says what was expected, what was found, and where", () => {
    const error = gateError(judgeGates([parseGate("mustNotRise: 0.02")], { before: measured(2, 1), after: measured(3, 1) }), {
      hint: "look",
    });
    expect(error).toMatchObject({ code: "GATE_FAILED", exitCode: 21, hint: "look" });
    expect(error?.message).toBe(
      "old: loss must not rise by more than 2 %: expected it from 2.00000 to end at 2.04000 or better, found 3.00000",
    );
    expect(gateError(judgeGates([parseGate("mustFall: true")], { before: measured(2, 2), after: measured(1, 1) }))).toBeNull();
  });

  test("that compares with what was not measured fails, and says that there is nothing to compare with", () => {
    const gates = judgeGates([parseGate("dataset: qa, metric: f1, mustRise: true")], {
      before: { evaluations: [], answers: [] },
      after: measured(1, 1),
    });
    expect(gates).toEqual([expect.objectContaining({ before: null, ok: false })]);
    expect(gateError(gates)?.message).toBe("qa: F1 must rise: expected a value before to compare with, found none");
  });

  test("needs a set that is evaluated, and something before if it compares", () => {
    const sets = { losses: ["old"], answers: [] };
    expect(() => requireKnownSets([parseGate("dataset: parent/old, mustFall: true")], sets)).toThrow(/no set with loss is called that/);
    expect(() => requireKnownSets([parseGate("mustFall: true")], sets, false)).toThrow(/there is none/);
    expect(() => requireKnownSets([parseGate("atMost: 2")], sets, false)).not.toThrow();
  });
});

describe("the loss after loading", () => {
  const conditions = { threads: 1, batchSize: 2 };
  const record = (loss: number, changes: Partial<EvaluationRecord> = {}): EvaluationRecord => ({
    dataset: "held",
    fingerprint: "f",
    step: 4,
    loss,
    labelTokens: 9,
    conditions,
    ...changes,
  });
  const owed = (records: readonly EvaluationRecord[], exactly = true): Owed => ({ to: "parent", records, exactly, note: null });
  const NEXT = 2 + 2 ** -51;

  test("must be the same to the bit under the same conditions, and within 1e-5 under others", () => {
    expect(sameLosses(owed([record(2)]), [record(2)])[0]).toMatchObject({ exactly: true, ok: true });
    expect(sameLosses(owed([record(2)]), [record(NEXT)])[0]).toMatchObject({ exactly: true, ok: false });
    const others = sameLosses(owed([record(2)]), [record(NEXT, { conditions: { ...conditions, threads: 2 } })]);
    expect(others[0]).toMatchObject({ exactly: false, differing: ["threads"], ok: true });
    expect(sameLosses(owed([record(2)], false), [record(2 + 3e-5)])[0]?.ok).toBe(false);
    expect(sameLosses(owed([record(2, { conditions: undefined })]), [record(2 + 1e-5)])[0]?.ok).toBe(true);
  });

  test("is compared on the same rows, whatever the set is called", () => {
    expect(sameLosses(owed([record(2, { dataset: "other" })]), [record(3)])).toHaveLength(1);
    expect(sameLosses(owed([record(2, { fingerprint: "g" })]), [record(3)])).toEqual([]);
  });

  test("that differs is a gate that failed", () => {
    const failed = owed([record(2)]);
    expect(samenessError(failed, sameLosses(failed, [record(3)]))).toMatchObject({ code: "GATE_FAILED", exitCode: 21 });
    expect(samenessError(failed, sameLosses(failed, [record(2)]))).toBeNull();
  });
});

test("early stopping waits for as many evaluations without a better loss, and goes on from its state", () => {
  const config = { dataset: null, patience: 2, minDelta: 0.1, restoreBest: true };
  const stopping = new EarlyStopping(config);
  for (const loss of [3, 2, 1.95]) stopping.note(loss);
  expect({ ...stopping.state, isDone: stopping.isDone }).toEqual({ best: 2, waited: 1, isDone: false });
  const resumed = new EarlyStopping(config, stopping.state);
  resumed.note(1.91);
  expect(resumed.isDone).toBe(true);
  stopping.note(1.89);
  expect(stopping.state).toEqual({ best: 1.89, waited: 0 });
});
