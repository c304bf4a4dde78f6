import { llamaBlock } from "./llama-block.ts";
import { qwenWindows } from "./qwen-windows.ts";
import type { ArchitectureRecord } from "./record.ts";

/** Qwen3 (dense): RMS norms on queries and keys, a head size of its own. */
export const qwen3: ArchitectureRecord = {
  modelType: "qwen3",
  className: "Qwen3ForCausalLM",
  defaults: { maxPositions: 32768, kvHeadCount: 32, headDim: 128, bosTokenId: null, eosTokenId: null },
  qkNorm: true,
  biases(fields) {
    const attention = fields.flag("attention_bias", false);
    return { q: attention, k: attention, v: attention, o: attention, mlp: false };
  },
  slidingWindows: qwenWindows,
  blockModules: llamaBlock,
};
