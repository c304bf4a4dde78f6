// Logits and greedy answers of a model folder here, from full forward passes.
import { loadRuntime } from "../../src/compute/index.ts";
import { type MicroBatch, NO_LABEL } from "../../src/data/index.ts";
import { CausalModel, loadModelFolder } from "../../src/engine/index.ts";
import { openModelFolder } from "../../src/folders/index.ts";

function batchOf(ids: readonly number[]): MicroBatch {
  return {
    batch: 1,
    sequence: ids.length,
    inputIds: Int32Array.from(ids),
    labels: new Int32Array(ids.length).fill(NO_LABEL),
    positions: Int32Array.from(ids, (_, i) => i),
    segments: new Int32Array(ids.length).fill(1),
    tokenCount: ids.length,
    labelTokenCount: 0,
    examples: [],
  };
}

/** Runs `work` with a model folder as its files have it, not quantized. */
export async function withModel<T>(path: string, work: (model: CausalModel) => Promise<T>): Promise<T> {
  const folder = await openModelFolder(path);
  try {
    const base = await loadModelFolder(folder, { quantization: null, cache: "auto" });
    const parts = {
      spec: folder.spec,
      base,
      parameters: [],
      lora: new Map(),
      dropout: 0,
      activations: "recompute",
      threads: null,
    } as const;
    const model = new CausalModel({ runtime: await loadRuntime(), ...parts });
    try {
      return await work(model);
    } finally {
      await model.dispose();
    }
  } finally {
    await folder.folder.close();
  }
}

async function rowsOf(model: CausalModel, ids: readonly number[]): Promise<Float32Array[]> {
  const logits = await model.logits(batchOf(ids));
  const width = model.spec.vocabSize;
  return ids.map((_, t) => logits.slice(t * width, (t + 1) * width));
}

/** Logits after each of the tokens. */
export function logitsHere(path: string, ids: readonly number[]): Promise<Float32Array[]> {
  return withModel(path, (model) => rowsOf(model, ids));
}

/** The most likely next tokens, one after the other; an end token ends them. */
export function completeHere(path: string, ids: readonly number[], count: number): Promise<number[]> {
  return withModel(path, async (model) => {
    const made: number[] = [];
    while (made.length < count) {
      const last = (await rowsOf(model, [...ids, ...made])).at(-1) ?? new Float32Array(0);
      const best = last.indexOf(Math.max(...last));
      if (model.spec.eosTokenIds.includes(best)) break;
      made.push(best);
    }
    return made;
  });
}
