import type { EvaluationRecord } from "../runs/index.ts";
import type { TrainingEvent } from "./events.ts";
import { nearness, type Owed, sameLosses, samenessError } from "./gates/index.ts";

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
  for (const loss of losses) {
    const { dataset, expected: before, found: after, ok } = loss;
    await report({
      type: "gate",
      step,
      ok,
      dataset,
      metric: "loss",
      condition: `must be the ${owed.to}'s last ${nearness(loss)}`,
      before,
      after,
    });
  }
  const error = samenessError(owed, losses);
  if (error !== null) throw error;
}
