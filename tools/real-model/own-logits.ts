// Logits of a model folder by the engine, without quantization.
import type { MicroBatch } from "../../src/data/index.ts";
import { withModel } from "../export/own-model.ts";

/** Rows of one length as a batch: one shape is compiled, however many passages there are. */
function batchOf(rows: readonly (readonly number[])[]): MicroBatch {
  const sequence = rows[0]?.length ?? 0;
  const count = rows.length * sequence;
  return {
    batch: rows.length,
    sequence,
    inputIds: Int32Array.from(rows.flat()),
    labels: new Int32Array(count).fill(-100),
    positions: Int32Array.from({ length: count }, (_, i) => i % sequence),
    segments: new Int32Array(count).fill(1),
    tokenCount: count,
    labelTokenCount: 0,
    examples: [],
  };
}

/** Logits after each token of all passages, which are of one length: `[passages · tokens][vocabulary]`. */
export function ownLogits(folder: string, passages: readonly (readonly number[])[]): Promise<Float32Array[]> {
  return withModel(folder, async (model) => {
    const logits = await model.logits(batchOf(passages));
    const width = model.spec.vocabSize;
    return passages.flat().map((_, i) => logits.slice(i * width, (i + 1) * width));
  });
}
