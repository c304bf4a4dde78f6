// Logits of a model folder by the engine, without quantization.
import { loadRuntime } from "../../src/compute/index.ts";
import type { MicroBatch } from "../../src/data/index.ts";
import { CausalModel, loadModelFolder } from "../../src/engine/index.ts";
import { openModelFolder } from "../../src/folders/index.ts";

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
export async function ownLogits(folder: string, passages: readonly (readonly number[])[]): Promise<Float32Array[]> {
  const opened = await openModelFolder(folder);
  const { spec } = opened;
  const base = await loadModelFolder(opened, { quantization: null, cache: "auto" });
  await opened.folder.close();
  const model = new CausalModel({
    runtime: await loadRuntime(),
    spec,
    base,
    parameters: [],
    lora: new Map(),
    dropout: 0,
    activations: "recompute",
    threads: null,
  });
  try {
    const logits = await model.logits(batchOf(passages));
    return passages.flat().map((_, i) => logits.slice(i * spec.vocabSize, (i + 1) * spec.vocabSize));
  } finally {
    await model.dispose();
  }
}
