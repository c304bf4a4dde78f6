import { llamaBlock } from "./llama-block.ts";
import { qwenWindows } from "./qwen-windows.ts";
import type { ArchitectureRecord } from "./record.ts";

/** Qwen2 and Qwen2.5: biases on the query, key and value projections only. */
export const qwen2: ArchitectureRecord = {
  modelType: "qwen2",
  className: "Qwen2ForCausalLM",
  defaults: { maxPositions: 32768, kvHeadCount: 32, headDim: null, bosTokenId: null, eosTokenId: null },
  qkNorm: false,
  biases: () => ({ q: true, k: true, v: true, o: false, mlp: false }),
  slidingWindows: qwenWindows,
  blockModules: llamaBlock,
};
