import type { ModelSpec } from "../model/index.ts";
import { BLOCK_LINEARS, type BlockLinear, type BlockPlan } from "./architectures/index.ts";
import type { LinearPlan } from "./linear.ts";

/** LoRA of one linear layer. */
export interface LoraPlan {
  readonly rank: number;
  readonly scaling: number;
}

/** What the names of a layer's parameters begin with. */
export function layerPrefix(layer: number): string {
  return `model.layers.${layer}.`;
}

/** The shape, bias and LoRA of one linear layer of a block. */
function linearPlan(spec: ModelSpec, name: BlockLinear, lora: LoraPlan | undefined): LinearPlan {
  const heads = spec.headCount * spec.headDim;
  const kvHeads = spec.kvHeadCount * spec.headDim;
  const shapes: Record<BlockLinear, readonly [inFeatures: number, outFeatures: number, bias: boolean]> = {
    "self_attn.q_proj": [spec.hiddenSize, heads, spec.biases.q],
    "self_attn.k_proj": [spec.hiddenSize, kvHeads, spec.biases.k],
    "self_attn.v_proj": [spec.hiddenSize, kvHeads, spec.biases.v],
    "self_attn.o_proj": [heads, spec.hiddenSize, spec.biases.o],
    "mlp.gate_proj": [spec.hiddenSize, spec.intermediateSize, spec.biases.mlp],
    "mlp.up_proj": [spec.hiddenSize, spec.intermediateSize, spec.biases.mlp],
    "mlp.down_proj": [spec.intermediateSize, spec.hiddenSize, spec.biases.mlp],
  };
  const [inFeatures, outFeatures, bias] = shapes[name];
  return { inFeatures, outFeatures, bias, lora: lora ?? null };
}

/** The plan of a layer's block for batches of one shape. */
export function blockPlan(
  spec: ModelSpec,
  lora: ReadonlyMap<string, LoraPlan>,
  layer: number,
  shape: Pick<BlockPlan, "batch" | "sequence" | "dropout" | "cache">,
): BlockPlan {
  const entries = BLOCK_LINEARS.map((name) => [name, linearPlan(spec, name, lora.get(layerPrefix(layer) + name))] as const);
  return {
    ...shape,
    linears: Object.fromEntries(entries) as Record<BlockLinear, LinearPlan>,
    window: spec.slidingWindows[layer] ?? null,
  };
}
