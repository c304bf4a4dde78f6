import { HeirloomError } from "../core/index.ts";
import { defineJob } from "../core/node/index.ts";
import { loadDataset } from "../data/index.ts";
import { loadModel } from "../generate/index.ts";
import type { AdapterRecord } from "../runs/index.ts";
import type { EvaluationRequest, EvaluationResult } from "./api.ts";
import { type EvaluationBatches, evaluateDataset } from "./evaluate.ts";
import type { TrainingEvent } from "./events.ts";

/** Longest row and batch where neither the request nor a record says. */
const DEFAULT_MAX_LENGTH = 1024;
const DEFAULT_BATCH_SIZE = 4;

type DataSets = Readonly<Record<string, readonly string[]>>;

/** The files to evaluate on: those named, else the held-out sets of the record. */
function dataSets({ data, path }: EvaluationRequest, record: AdapterRecord | null): DataSets {
  const sets = data === undefined ? (record?.config.data.eval ?? {}) : { data };
  if (Object.keys(sets).length > 0) return sets;
  throw new HeirloomError("DATA_EMPTY", "there is nothing to evaluate on: neither the command nor the run's record names held-out data", {
    where: path,
    hint: "name a file with --data",
  });
}

/** Batches as the run's own evaluations had them, where nothing else is asked for. */
function batchesOf(request: EvaluationRequest, record: AdapterRecord | null, padId: number): EvaluationBatches {
  const config = record?.config;
  return {
    batchSize: request.batchSize ?? config?.evaluation.batchSize ?? config?.training.batchSize ?? DEFAULT_BATCH_SIZE,
    maxLength: request.maxLength ?? config?.data.maxLength ?? DEFAULT_MAX_LENGTH,
    packing: config?.data.packing ?? true,
    padId,
  };
}

/** Held-out loss of an adapter or model on data files. */
export const evaluateJob = defineJob<EvaluationRequest, TrainingEvent, EvaluationResult>(
  import.meta.url,
  async (request, { emit, stopRequested }) => {
    const { model, tokenizer, record, notes } = await loadModel(request.path, request.base);
    try {
      for (const message of notes) emit({ type: "note", message });
      const batches = batchesOf(request, record, tokenizer.padId ?? 0);
      const data = record?.config.data;
      const evaluations: EvaluationResult["evaluations"][number][] = [];
      for (const [dataset, files] of Object.entries(dataSets(request, record))) {
        const { maxLength } = batches;
        const held = await loadDataset(
          { files, maxLength, onTooLong: data?.onTooLong ?? "error", template: data?.template ?? null },
          tokenizer,
        );
        const before = record?.evaluations.find((evaluation) => evaluation.dataset === dataset);
        if (request.data === undefined && before !== undefined && before.fingerprint !== held.fingerprint) {
          emit({ type: "note", message: `the rows of "${dataset}" are not those that the run was evaluated on` });
        }
        if (stopRequested()) throw new HeirloomError("INTERRUPTED", `stopped before the data set "${dataset}"`);
        const { loss, perplexity, labelTokens } = await evaluateDataset(model, held, batches, `held-out set "${dataset}"`);
        evaluations.push({ dataset, loss, perplexity, tokens: labelTokens });
        emit({ type: "evaluation", step: record?.step ?? 0, dataset, loss, perplexity, tokens: labelTokens });
      }
      return { path: request.path, evaluations };
    } finally {
      await model.dispose();
    }
  },
);
