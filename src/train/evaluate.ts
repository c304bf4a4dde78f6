import type { Dataset, MicroBatch } from "../data/index.ts";
import { evalBatches } from "../data/index.ts";
import type { CausalModel } from "../engine/index.ts";

/** How held-out rows are put into batches. */
export interface EvaluationBatches {
  readonly batchSize: number;
  readonly maxLength: number;
  readonly packing: boolean;
  readonly padId: number;
}

/** Mean cross-entropy per label token on one data set. */
export interface EvaluationOutcome {
  /** Nats. */
  readonly loss: number;
  readonly perplexity: number;
  readonly labelTokens: number;
}

/** The mean over all label tokens of `batches`, dropout off. */
async function evaluateBatches(model: CausalModel, batches: readonly MicroBatch[]): Promise<EvaluationOutcome> {
  let lossSum = 0;
  let labelTokens = 0;
  for (const batch of batches) {
    const outcome = await model.evaluate(batch);
    lossSum += outcome.lossSum;
    labelTokens += outcome.labelTokens;
  }
  const loss = lossSum / labelTokens;
  return { loss, perplexity: Math.exp(loss), labelTokens };
}

/** Evaluates one data set in the order of its files. */
export function evaluateDataset(model: CausalModel, dataset: Dataset, options: EvaluationBatches): Promise<EvaluationOutcome> {
  return evaluateBatches(model, evalBatches(dataset.examples, options));
}
