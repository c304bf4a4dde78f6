import { llamaBlock } from "./llama-block.ts";
import type { ArchitectureRecord } from "./record.ts";

/** Mistral 7B and its kin: Llama with one sliding window for all layers. */
export const mistral: ArchitectureRecord = {
  modelType: "mistral",
  className: "MistralForCausalLM",
  defaults: { maxPositions: 131072, kvHeadCount: 8, headDim: null, bosTokenId: 1, eosTokenId: 2 },
  qkNorm: false,
  biases: () => ({ q: false, k: false, v: false, o: false, mlp: false }),
  slidingWindows(fields, layerCount) {
    // A file without the key means 4096 upstream, only null means none.
    return new Array<number | null>(layerCount).fill(fields.optionalCount("sliding_window", 4096));
  },
  blockModules: llamaBlock,
};
