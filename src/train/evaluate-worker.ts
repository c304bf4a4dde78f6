import { HeirloomError } from "../core/index.ts";
import { defineJob } from "../core/node/index.ts";
import { loadDataset } from "../data/index.ts";
import { loadModel } from "../generate/index.ts";
import type { EvaluationRequest, EvaluationResult } from "./api.ts";
import { evaluateDataset } from "./evaluate.ts";
import type { TrainingEvent } from "./events.ts";

/** Longest row and batch where neither the request nor a record says. */
const DEFAULT_MAX_LENGTH = 1024;
const DEFAULT_BATCH_SIZE = 4;

/** Held-out loss of an adapter or model on data files. */
export const evaluateJob = defineJob<EvaluationRequest, TrainingEvent, EvaluationResult>(import.meta.url, async (request, { emit }) => {
  const { model, tokenizer, record } = await loadModel(request.path, request.base);
  const sets: Record<string, readonly string[]> = request.data === undefined ? (record?.config.data.eval ?? {}) : { data: request.data };
  if (Object.keys(sets).length === 0) {
    throw new HeirloomError("DATA_EMPTY", "there is nothing to evaluate on: neither the command nor the run's record names held-out data", {
      where: request.path,
      hint: "name a file with --data",
    });
  }
  const maxLength = request.maxLength ?? record?.config.data.maxLength ?? DEFAULT_MAX_LENGTH;
  const batches = {
    batchSize: request.batchSize ?? record?.config.training.batchSize ?? DEFAULT_BATCH_SIZE,
    maxLength,
    packing: record?.config.data.packing ?? true,
    padId: tokenizer.padId ?? 0,
  };
  const evaluations: { dataset: string; loss: number; perplexity: number; tokens: number }[] = [];
  for (const [dataset, files] of Object.entries(sets)) {
    const held = await loadDataset(
      { files, maxLength, onTooLong: record?.config.data.onTooLong ?? "error", template: record?.config.data.template ?? null },
      tokenizer,
    );
    const { loss, perplexity, labelTokens } = await evaluateDataset(model, held, batches);
    evaluations.push({ dataset, loss, perplexity, tokens: labelTokens });
    emit({ type: "evaluation", step: record?.step ?? 0, dataset, loss, perplexity, tokens: labelTokens });
  }
  await model.dispose();
  return { path: request.path, evaluations };
});
