import { loadRuntime } from "../compute/index.ts";
import type { LoadedModel } from "../generate/index.ts";
import type { EvaluationRecord } from "../runs/index.ts";
import type { RecordedLoss } from "./api.ts";
import type { TrainingEvent } from "./events.ts";
import { evaluationOwes, nearness, sameLosses } from "./gates/index.ts";
import { evaluationConditions } from "./measuring.ts";
import type { HeldOutSet } from "./parent-sets.ts";
import { runEnvironment } from "./record.ts";

/**
 * Losses of a loaded adapter beside those that its record holds of the same rows: they show that what was loaded is
 * what was saved.
 *
 * @param found loss and label tokens by the name of the set
 */
export async function holdAgainstRecord(
  path: string,
  { record }: Pick<LoadedModel, "record">,
  sets: ReadonlyMap<string, HeldOutSet>,
  found: readonly { readonly dataset: string; readonly loss: number; readonly tokens: number }[],
  report: (event: TrainingEvent) => void,
): Promise<RecordedLoss[]> {
  if (record === null) return [];
  const environment = runEnvironment(record.config, await loadRuntime());
  const measured = found.flatMap(({ dataset, loss, tokens }): EvaluationRecord[] => {
    const held = sets.get(dataset);
    if (held === undefined) return [];
    // As the model is loaded to be evaluated; a run that kept its activations had another graph.
    const conditions = evaluationConditions(environment, "recompute", held.batches);
    return [{ dataset, fingerprint: held.dataset.fingerprint, step: record.step, loss, labelTokens: tokens, conditions }];
  });
  const losses = sameLosses(evaluationOwes(record), measured);
  for (const loss of losses) {
    const condition = `must be the recorded one ${nearness(loss)}`;
    const { dataset, expected: before, found: after, ok } = loss;
    report({ type: "gate", step: record.step, ok, dataset, metric: "loss", condition, before, after });
  }
  return losses.map((loss) => ({ path, ...loss }));
}
