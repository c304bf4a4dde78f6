import { describe, expect, it } from "vitest";
import type { Gate, GateResult } from "./gate.ts";
import { closingLine, runGates } from "./run-gates.ts";

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const gate = (name: string, run: () => Promise<GateResult>, rest: Partial<Gate> = {}): Gate => ({ name, says: name, run, ...rest });
const passes = async (): Promise<GateResult> => ({ ok: true, note: "fine" });
const fails = async (): Promise<GateResult> => ({ ok: false, note: "wrong" });

describe("a run of gates", () => {
  it("goes on after a failure, but not to what needs the failed gate", async () => {
    const outcomes = await runGates(
      [gate("build", fails), gate("pack", passes, { needs: ["build"] }), gate("size", passes)],
      () => undefined,
    );
    expect(outcomes.map(({ gate: { name }, result, blockedBy }) => [name, result.ok, blockedBy])).toEqual([
      ["build", false, undefined],
      ["pack", false, "build"],
      ["size", true, undefined],
    ]);
  });

  it("counts a gate that throws as failed", async () => {
    const [outcome] = await runGates([gate("odd", () => Promise.reject(new TypeError("oh")))], () => undefined);
    expect(outcome?.result).toMatchObject({ ok: false, note: "the gate itself broke" });
  });

  it("runs two at a time, and some gates alone", async () => {
    let running = 0;
    const beside: number[] = [];
    const watch = async (): Promise<GateResult> => {
      beside.push(++running);
      await pause(20);
      running--;
      return passes();
    };
    await runGates(
      [gate("a", watch), gate("b", watch), gate("c", watch), gate("alone", watch, { alone: true }), gate("d", watch)],
      () => undefined,
    );
    expect(Math.max(...beside)).toBe(2);
    expect(beside[3]).toBe(1);
    expect(beside[4]).toBe(1);
  });
});

describe("the closing line", () => {
  const outcome = (result: GateResult) => ({ gate: gate("x", passes), result, seconds: 0 });

  it("counts tests one by one and other gates as one each", () => {
    const tests = { passed: 10, failed: 2, skipped: 1 };
    const outcomes = [outcome({ ok: true, note: "" }), outcome({ ok: false, note: "" }), outcome({ ok: false, note: "", tests })];
    expect(closingLine(outcomes)).toBe("11 passed, 3 failed, 1 skipped");
  });

  it("counts a failure of a test gate in which no test failed", () => {
    expect(closingLine([outcome({ ok: false, note: "too slow", tests: { passed: 10, failed: 0, skipped: 0 } })])).toBe(
      "10 passed, 1 failed",
    );
  });
});
