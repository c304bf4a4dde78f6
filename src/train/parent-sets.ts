import { PARENT_PREFIX } from "../config/index.ts";
import { isHeirloomError } from "../core/index.ts";
import { type Dataset, datasetReading, loadDataset, type Tokenizer } from "../data/index.ts";
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
  const reading = datasetReading(config.data);
  const batchSize = config.evaluation.batchSize ?? config.training.batchSize;
  const sets = Object.entries(config.data.eval).map(([name, files]): [string, HeldOutRecord] => {
    const fingerprint = evaluations.find(({ dataset }) => dataset === name)?.fingerprint ?? null;
    return [`${PARENT_PREFIX}${name}`, { files, reading, maxLength, onTooLong, template, packing, batchSize, startedAt, fingerprint }];
  });
  return Object.fromEntries(sets);
}

/**
 * Reads a parent's held-out sets, as its run read them. One whose files are gone or changed is left out with a note:
 * its losses would not be comparable. One with the rows of a set that is evaluated anyway is that set.
 *
 * @param own names of the run's own sets by their fingerprints
 * @returns `aliases`: the run's own set that a parent's is, by the parent's name
 */
export async function loadParentSets(
  heldOut: Readonly<Record<string, HeldOutRecord>>,
  own: ReadonlyMap<string, string>,
  tokenizer: Tokenizer,
): Promise<{ sets: Map<string, HeldOutSet>; aliases: Map<string, string>; notes: string[] }> {
  const sets = new Map<string, HeldOutSet>();
  const aliases = new Map<string, string>();
  const notes: string[] = [];
  const isOwn = (name: string, fingerprint: string | null): boolean => {
    const same = own.get(fingerprint ?? "");
    if (same !== undefined) aliases.set(name, same);
    return same !== undefined;
  };
  for (const [name, held] of Object.entries(heldOut)) {
    const { files, reading, maxLength, onTooLong, template, packing, batchSize, startedAt, fingerprint } = held;
    if (isOwn(name, fingerprint)) continue;
    const skip = (reason: string): void => void notes.push(`the held-out set "${name}" is not evaluated: ${reason}`);
    try {
      const now = startedAt === null ? {} : { now: new Date(startedAt) };
      const dataset = await loadDataset({ ...reading, files, maxLength, onTooLong, template, ...now }, tokenizer);
      if (isOwn(name, dataset.fingerprint)) continue;
      if (fingerprint !== null && dataset.fingerprint !== fingerprint) skip("its rows are not those that the parent was evaluated on");
      else sets.set(name, { dataset, batches: { batchSize, maxLength, packing, padId: tokenizer.padId ?? 0 } });
    } catch (error) {
      if (!isHeirloomError(error)) throw error;
      skip(error.message);
    }
  }
  return { sets, aliases, notes };
}
