// What prove-trainer.ts and make-trainer-variants.ts hand to the Python side: a run's rows as token ids, in the order that the run took them.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { RunConfig } from "../../src/config/index.ts";
import { BatchSource, loadDataset, loadTokenizer, type MicroBatch } from "../../src/data/index.ts";

/** One padded row: what a Trainer's data set gives. */
interface TrainerRow {
  readonly input_ids: readonly number[];
  readonly labels: readonly number[];
  readonly attention_mask: readonly number[];
}

function rowsOf({ batch, sequence, inputIds, labels, segments }: MicroBatch): TrainerRow[] {
  return Array.from({ length: batch }, (_, row) => {
    const part = (values: Int32Array): number[] => Array.from(values.subarray(row * sequence, (row + 1) * sequence));
    return { input_ids: part(inputIds), labels: part(labels), attention_mask: part(segments).map((segment) => (segment === 0 ? 0 : 1)) };
  });
}

/**
 * Writes the rows of a run's first `batches` micro-batches as JSON, in their order. Packing is off and no epoch ends
 * within an update, so that a Trainer with a sequential sampler makes the same micro-batches of them.
 */
export async function writeRows(config: RunConfig, batches: number, path: string, now: Date = new Date(0)): Promise<void> {
  const { data, training, base } = config;
  const tokenizer = await loadTokenizer(base);
  const { maxLength, onTooLong, template } = data;
  const { examples } = await loadDataset({ files: data.train, maxLength, onTooLong, template, now }, tokenizer);
  const { batchSize, seed } = training;
  const source = new BatchSource(examples, { batchSize, maxLength, packing: false, seed, padId: tokenizer.padId ?? 0 });
  const rows = Array.from({ length: batches }, () => source.next()).flatMap(rowsOf);
  writeFileSync(path, JSON.stringify(rows));
}

/** Where a scene's files lie. */
export const SCENE = { rows: "rows.json", scene: "scene.json" } as const;

/** Writes what the Python side reads first. */
export function writeScene(folder: string, scene: object): void {
  writeFileSync(join(folder, SCENE.scene), JSON.stringify(scene, null, 2));
}
