// architectures: how each model architecture's block becomes a graph. To add
// one, add a file here and its line in this table (and its config in model/).
import type { Value } from "../../compute/index.ts";
import type { ModelSpec } from "../../model/index.ts";
import { type BlockPlan, decoderBlock } from "./decoder-block.ts";

/** Builds a block's forward graph; returns its output rows [B·S, D]. */
export type BlockBuilder = (spec: ModelSpec, plan: BlockPlan) => Value;

export const BLOCK_BUILDERS: Readonly<Record<ModelSpec["architecture"], BlockBuilder>> = {
  llama: decoderBlock,
  mistral: decoderBlock,
  qwen2: decoderBlock,
  qwen3: decoderBlock,
};

export { BLOCK_LINEARS, type BlockLinear, type BlockPlan } from "./decoder-block.ts";
