import { PARENT_PREFIX } from "../config/index.ts";
import { isHeirloomError } from "../core/index.ts";
import { type Dataset, loadDataset, type Tokenizer } from "../data/index.ts";
import type { AdapterRecord, HeldOutRecord } from "../runs/index.ts";
import type { EvaluationBatches } from "./evaluate.ts";

/** A set that is evaluated, and how its rows are put into batches. */
export interface HeldOutSet {
  readonly dataset: Dataset;
  readonly batches: EvaluationBatches;
}

/** The held-out sets of an adapter's own run: what shows whether a continuation forgets. */
export function heldOutOf({ config, startedAt, evaluations }: AdapterRecord): Record<string, HeldOutRecord> {
  const { maxLength, onTooLong, template, packing } = config.data;
  const batchSize = config.evaluation.batchSize ?? config.training.batchSize;
  const sets = Object.entries(config.data.eval).map(([name, files]): [string, HeldOutRecord] => {
    const fingerprint = evaluations.find(({ dataset }) => dataset === name)?.fingerprint ?? null;
    return [`${PARENT_PREFIX}${name}`, { files, maxLength, onTooLong, template, packing, batchSize, startedAt, fingerprint }];
  });
  return Object.fromEntries(sets);
}

/**
 * Reads a parent's held-out sets, as its run read them. One whose files are gone or changed is left out with a note:
 * its losses would not be comparable. One with the rows of a set that is evaluated anyway is left out in silence.
 *
 * @param own fingerprints of the run's own sets
 */
export async function loadParentSets(
  heldOut: Readonly<Record<string, HeldOutRecord>>,
  own: ReadonlySet<string>,
  tokenizer: Tokenizer,
): Promise<{ sets: Map<string, HeldOutSet>; notes: string[] }> {
  const sets = new Map<string, HeldOutSet>();
  const notes: string[] = [];
  for (const [name, { files, maxLength, onTooLong, template, packing, batchSize, startedAt, fingerprint }] of Object.entries(heldOut)) {
    if (fingerprint !== null && own.has(fingerprint)) continue;
    const skip = (reason: string): void => void notes.push(`the held-out set "${name}" is not evaluated: ${reason}`);
    try {
      const now = startedAt === null ? {} : { now: new Date(startedAt) };
      const dataset = await loadDataset({ files, maxLength, onTooLong, template, ...now }, tokenizer);
      if (own.has(dataset.fingerprint)) continue;
      if (fingerprint !== null && dataset.fingerprint !== fingerprint) skip("its rows are not those that the parent was evaluated on");
      else sets.set(name, { dataset, batches: { batchSize, maxLength, packing, padId: tokenizer.padId ?? 0 } });
    } catch (error) {
      if (!isHeirloomError(error)) throw error;
      skip(error.message);
    }
  }
  return { sets, notes };
}
