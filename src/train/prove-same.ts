import type { EvaluationRecord } from "../runs/index.ts";
import type { TrainingEvent } from "./events.ts";
import { type Owed, sameLosses, samenessError } from "./gates/index.ts";

/** The losses after loading are those before saving. @throws GATE_FAILED */
export async function proveSame(
  owed: Owed,
  found: readonly EvaluationRecord[],
  step: number,
  report: (event: TrainingEvent) => Promise<void>,
): Promise<void> {
  if (owed.note !== null) await report({ type: "note", message: owed.note });
  const losses = sameLosses(owed, found);
  if (owed.records.length > 0 && losses.length === 0 && owed.to === "parent")
    await report({ type: "note", message: "no held-out set has the rows of the parent's: its load is not proved by an equal loss" });
  for (const { dataset, expected, found: after, exactly, ok } of losses) {
    const condition = `must be the ${owed.to}'s last ${exactly ? "to the bit" : "within 1e-5"}`;
    await report({ type: "gate", step, ok, dataset, metric: "loss", condition, before: expected, after });
  }
  const error = samenessError(owed, losses);
  if (error !== null) throw error;
}
