import { llamaBlock } from "./llama-block.ts";
import type { ArchitectureRecord } from "./record.ts";

/** Llama 1 to 3, SmolLM, TinyLlama and others that say `"model_type": "llama"`. */
export const llama: ArchitectureRecord = {
  modelType: "llama",
  className: "LlamaForCausalLM",
  defaults: { maxPositions: 2048, kvHeadCount: null, headDim: null, bosTokenId: 1, eosTokenId: 2 },
  qkNorm: false,
  biases(fields) {
    const attention = fields.flag("attention_bias", false);
    return { q: attention, k: attention, v: attention, o: attention, mlp: fields.flag("mlp_bias", false) };
  },
  slidingWindows: (_fields, layerCount) => new Array<null>(layerCount).fill(null),
  blockModules: llamaBlock,
};
