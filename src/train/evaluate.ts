import { HeirloomError } from "../core/index.ts";
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
async function evaluateBatches(model: CausalModel, batches: readonly MicroBatch[], where: string): Promise<EvaluationOutcome> {
  let lossSum = 0;
  let labelTokens = 0;
  for (const batch of batches) {
    const outcome = await model.evaluate(batch);
    lossSum += outcome.lossSum;
    labelTokens += outcome.labelTokens;
  }
  const loss = lossSum / labelTokens;
  if (!Number.isFinite(loss)) {
    throw new HeirloomError("LOSS_NOT_FINITE", `expected a held-out loss that is a number, found ${loss}`, {
      where,
      hint: "the weights overflow: go on from an earlier checkpoint with a lower training.learningRate: heirloom continue RUN/checkpoint-N",
      details: { loss: String(loss) },
    });
  }
  return { loss, perplexity: Math.exp(loss), labelTokens };
}

/**
 * Evaluates one data set in the order of its files.
 *
 * @param where what is evaluated, and when, for messages
 * @throws LOSS_NOT_FINITE
 */
export function evaluateDataset(
  model: CausalModel,
  dataset: Dataset,
  options: EvaluationBatches,
  where: string,
): Promise<EvaluationOutcome> {
  return evaluateBatches(model, evalBatches(dataset.examples, options), where);
}
