import type { ResolvedAdapter } from "../../adapter/index.ts";
import { INPUT_EMBEDDING, type ModelSpec, OUTPUT_EMBEDDING } from "../../model/index.ts";

/** What of a model is trained, as far as cost depends on it. */
export interface Trained {
  /** LoRA ranks by module path. */
  readonly ranks: ReadonlyMap<string, number>;
  /** True if the weights of the blocks themselves are trained. */
  readonly blocks: boolean;
  readonly embedding: boolean;
  readonly head: boolean;
  /** Lowest layer that gradients go down to; the number of layers if only the head is trained. */
  readonly lowestLayer: number;
}

/** @param adapter null for full-parameter training */
export function trainedParts(spec: ModelSpec, adapter: ResolvedAdapter | null): Trained {
  if (adapter === null) return { ranks: new Map(), blocks: true, embedding: true, head: true, lowestLayer: 0 };
  const copies = new Set(adapter.fullCopies.flatMap(({ module, tiedWith }) => (tiedWith === undefined ? [module] : [module, tiedWith])));
  const embedding = copies.has(INPUT_EMBEDDING);
  // A copied norm lies in a block, too.
  const modules = [...adapter.lora, ...adapter.fullCopies].map(({ module }) => module);
  const layers = modules.flatMap((module) => /\.layers\.(\d+)\./.exec(module)?.[1] ?? []).map(Number);
  return {
    ranks: new Map(adapter.lora.map(({ module, rank }) => [module, rank])),
    blocks: false,
    embedding,
    head: copies.has(OUTPUT_EMBEDDING),
    lowestLayer: embedding ? 0 : Math.min(spec.layerCount, ...layers),
  };
}
