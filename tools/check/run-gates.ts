import type { Gate, GateResult } from "./gate.ts";

/** A gate and what came of it. */
export interface Outcome {
  readonly gate: Gate;
  readonly result: GateResult;
  readonly seconds: number;
  /** The gate whose failure kept this one from running. */
  readonly blockedBy?: string;
}

/** Gates that run side by side: the cores of a small machine. */
const SLOTS = 2;

async function runGate(gate: Gate, done: ReadonlyMap<string, Outcome>): Promise<Outcome> {
  const blocker = gate.needs?.find((need) => done.get(need)?.result.ok === false);
  if (blocker !== undefined) return { gate, result: { ok: false, note: `not run: ${blocker} failed` }, seconds: 0, blockedBy: blocker };
  const started = performance.now();
  // A gate that breaks is a gate that failed; the others still have their say.
  const result = await gate.run().catch((error: unknown): GateResult => {
    return { ok: false, note: "the gate itself broke", details: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  });
  return { gate, result, seconds: (performance.now() - started) / 1000 };
}

/** Runs the gates in their order, two at a time where they allow it; `report` hears of each as it ends. */
export async function runGates(gates: readonly Gate[], report: (outcome: Outcome) => void): Promise<Outcome[]> {
  const done = new Map<string, Outcome>();
  const running = new Map<string, Promise<void>>();
  for (const gate of gates) {
    const pendingNeeds = () => gate.needs?.some((need) => running.has(need)) === true;
    while (running.size >= SLOTS || (gate.alone === true && running.size > 0) || pendingNeeds()) await Promise.race(running.values());
    const run = runGate(gate, done).then((outcome) => {
      done.set(gate.name, outcome);
      running.delete(gate.name);
      report(outcome);
    });
    running.set(gate.name, run);
    if (gate.alone === true) await run;
  }
  await Promise.all(running.values());
  return gates.flatMap((gate) => done.get(gate.name) ?? []);
}

/** "N passed, N failed": every test counts as one, every other gate as one. */
export function closingLine(outcomes: readonly Outcome[]): string {
  const count = { passed: 0, failed: 0, skipped: 0 };
  for (const { result } of outcomes) {
    count.passed += result.tests?.passed ?? 0;
    count.failed += result.tests?.failed ?? 0;
    count.skipped += result.tests?.skipped ?? 0;
    const countedByTests = result.tests !== undefined && (result.ok || result.tests.failed > 0);
    if (!countedByTests) count[result.ok ? "passed" : "failed"]++;
  }
  return `${count.passed} passed, ${count.failed} failed${count.skipped > 0 ? `, ${count.skipped} skipped` : ""}`;
}
