// architectures: how each model architecture's block becomes a graph. To add
// one, add a file here and its line in this table (and its config in model/).
import type { ModelSpec } from "../../model/index.ts";
import { type BlockPlan, type BlockValues, decoderBlock } from "./decoder-block.ts";

/** Builds a block's forward graph. */
export type BlockBuilder = (spec: ModelSpec, plan: BlockPlan) => BlockValues;

export const BLOCK_BUILDERS: Readonly<Record<ModelSpec["architecture"], BlockBuilder>> = {
  llama: decoderBlock,
  mistral: decoderBlock,
  qwen2: decoderBlock,
  qwen3: decoderBlock,
};

export { BLOCK_LINEARS, type BlockLinear, type BlockPlan } from "./decoder-block.ts";
