import { add, attention, input, reshape, rmsNorm, rope, swiglu, transpose, type Value } from "../../compute/index.ts";
import type { ModelSpec } from "../../model/index.ts";
import { type LinearPlan, linear } from "../linear.ts";

/** The linear layers of a block in `named_parameters` order, by path inside the block. */
export const BLOCK_LINEARS = [
  "self_attn.q_proj",
  "self_attn.k_proj",
  "self_attn.v_proj",
  "self_attn.o_proj",
  "mlp.gate_proj",
  "mlp.up_proj",
  "mlp.down_proj",
] as const;

/** Path of a linear layer inside a block. */
export type BlockLinear = (typeof BLOCK_LINEARS)[number];

/** Everything that decides which graph a block needs. Equal plans share one compiled graph. */
export interface BlockPlan {
  readonly batch: number;
  readonly sequence: number;
  readonly linears: Readonly<Record<BlockLinear, LinearPlan>>;
  readonly window: number | null;
  readonly dropout: number;
}

interface BlockInputs {
  readonly cos: Value;
  readonly sin: Value;
  readonly segments: Value;
}

/** q or k: rows [M, heads·d] → normalized (where the architecture does) and rotated heads [B, heads, S, d]. */
function rotatedHeads(rows: Value, name: "q" | "k", spec: ModelSpec, plan: BlockPlan, inputs: BlockInputs): Value {
  const heads = name === "q" ? spec.headCount : spec.kvHeadCount;
  let x = reshape(rows, [plan.batch, plan.sequence, heads, spec.headDim]);
  if (spec.qkNorm) [x] = rmsNorm(x, input(`self_attn.${name}_norm.weight`, [spec.headDim]), spec.rmsNormEps);
  return transpose(rope(x, inputs.cos, inputs.sin), [0, 2, 1, 3]);
}

function selfAttention(x: Value, spec: ModelSpec, plan: BlockPlan, inputs: BlockInputs): Value {
  const project = (name: BlockLinear): Value => linear(x, name, plan.linears[name], plan.dropout);
  const q = rotatedHeads(project("self_attn.q_proj"), "q", spec, plan, inputs);
  const k = rotatedHeads(project("self_attn.k_proj"), "k", spec, plan, inputs);
  const vRows = reshape(project("self_attn.v_proj"), [plan.batch, plan.sequence, spec.kvHeadCount, spec.headDim]);
  const v = transpose(vRows, [0, 2, 1, 3]);
  const heads = attention(q, k, v, inputs.segments, { scale: spec.headDim ** -0.5, window: plan.window });
  const rows = reshape(transpose(heads, [0, 2, 1, 3]), [plan.batch * plan.sequence, spec.headCount * spec.headDim]);
  return linear(rows, "self_attn.o_proj", plan.linears["self_attn.o_proj"], plan.dropout);
}

function gatedMlp(x: Value, plan: BlockPlan): Value {
  const gate = linear(x, "mlp.gate_proj", plan.linears["mlp.gate_proj"], plan.dropout);
  const up = linear(x, "mlp.up_proj", plan.linears["mlp.up_proj"], plan.dropout);
  return linear(swiglu(gate, up), "mlp.down_proj", plan.linears["mlp.down_proj"], plan.dropout);
}

/**
 * The pre-norm decoder block of Llama, Mistral, Qwen2 and Qwen3 over rows:
 * `x` [B·S, D] → [B·S, D]. Graph inputs: `x`, `segments` [B, S], `cos` and `sin`
 * [B·S, d/2] (the rows of the rotary table at each token's position), and the
 * block's parameters under their names inside the layer.
 */
export function decoderBlock(spec: ModelSpec, plan: BlockPlan): Value {
  const tokens = plan.batch * plan.sequence;
  const x = input("x", [tokens, spec.hiddenSize]);
  const inputs: BlockInputs = {
    cos: input("cos", [tokens, spec.headDim / 2]),
    sin: input("sin", [tokens, spec.headDim / 2]),
    segments: input("segments", [plan.batch, plan.sequence], "int32"),
  };
  const [normed] = rmsNorm(x, input("input_layernorm.weight", [spec.hiddenSize]), spec.rmsNormEps);
  const attended = add(x, selfAttention(normed, spec, plan, inputs));
  const [normedAgain] = rmsNorm(attended, input("post_attention_layernorm.weight", [spec.hiddenSize]), spec.rmsNormEps);
  return add(attended, gatedMlp(normedAgain, plan));
}
