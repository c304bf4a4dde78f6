import { add, attention, cachedAttention, input, reshape, rmsNorm, rope, swiglu, transpose, type Value } from "../../compute/index.ts";
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
  /** Positions T of the cache that the block attends to besides its own rows; null: it attends to those alone, by segment. */
  readonly cache: number | null;
}

/** A block's results: its rows [B·S, D], and the keys (rotated) and values [B, HK, S, d] that a cache keeps. */
export interface BlockValues {
  readonly y: Value;
  readonly k: Value;
  readonly v: Value;
}

interface RotaryInputs {
  readonly cos: Value;
  readonly sin: Value;
}

/** q or k: rows [M, heads·d] → normalized (where the architecture does) and rotated heads [B, heads, S, d]. */
function rotatedHeads(rows: Value, name: "q" | "k", spec: ModelSpec, plan: BlockPlan, inputs: RotaryInputs): Value {
  const heads = name === "q" ? spec.headCount : spec.kvHeadCount;
  let x = reshape(rows, [plan.batch, plan.sequence, heads, spec.headDim]);
  if (spec.qkNorm) [x] = rmsNorm(x, input(`self_attn.${name}_norm.weight`, [spec.headDim]), spec.rmsNormEps);
  return transpose(rope(x, inputs.cos, inputs.sin), [0, 2, 1, 3]);
}

/** Attention among the rows, or with a cache of earlier ones besides; [B, H, S, d]. */
function attend(q: Value, k: Value, v: Value, spec: ModelSpec, plan: BlockPlan): Value {
  const options = { scale: spec.headDim ** -0.5, window: plan.window };
  const { batch, sequence, cache } = plan;
  if (cache === null) return attention(q, k, v, input("segments", [batch, sequence], "int32"), options);
  const held = [batch, spec.kvHeadCount, cache, spec.headDim];
  const [kCache, vCache] = [input("k_cache", held), input("v_cache", held)];
  const positions = input("positions", [batch, sequence], "int32");
  return cachedAttention(
    q,
    { k, v, kCache, vCache, positions, cachePositions: input("cache_positions", [batch, cache], "int32") },
    options,
  );
}

function selfAttention(x: Value, spec: ModelSpec, plan: BlockPlan, inputs: RotaryInputs): BlockValues {
  const project = (name: BlockLinear): Value => linear(x, name, plan.linears[name], plan.dropout);
  const q = rotatedHeads(project("self_attn.q_proj"), "q", spec, plan, inputs);
  const k = rotatedHeads(project("self_attn.k_proj"), "k", spec, plan, inputs);
  const vRows = reshape(project("self_attn.v_proj"), [plan.batch, plan.sequence, spec.kvHeadCount, spec.headDim]);
  const v = transpose(vRows, [0, 2, 1, 3]);
  const heads = attend(q, k, v, spec, plan);
  const rows = reshape(transpose(heads, [0, 2, 1, 3]), [plan.batch * plan.sequence, spec.headCount * spec.headDim]);
  return { y: linear(rows, "self_attn.o_proj", plan.linears["self_attn.o_proj"], plan.dropout), k, v };
}

function gatedMlp(x: Value, plan: BlockPlan): Value {
  const gate = linear(x, "mlp.gate_proj", plan.linears["mlp.gate_proj"], plan.dropout);
  const up = linear(x, "mlp.up_proj", plan.linears["mlp.up_proj"], plan.dropout);
  return linear(swiglu(gate, up), "mlp.down_proj", plan.linears["mlp.down_proj"], plan.dropout);
}

/**
 * The pre-norm decoder block of Llama, Mistral, Qwen2 and Qwen3 over rows:
 * `x` [B·S, D] → `y` [B·S, D]. Graph inputs: `x`, `cos` and `sin` [B·S, d/2]
 * (the rows of the rotary table at each token's position), the block's
 * parameters under their names inside the layer, and either `segments` [B, S] or
 * (with a cache) `positions` [B, S], `cache_positions` [B, T], `k_cache` and
 * `v_cache` [B, HK, T, d].
 */
export function decoderBlock(spec: ModelSpec, plan: BlockPlan): BlockValues {
  const tokens = plan.batch * plan.sequence;
  const x = input("x", [tokens, spec.hiddenSize]);
  const inputs: RotaryInputs = { cos: input("cos", [tokens, spec.headDim / 2]), sin: input("sin", [tokens, spec.headDim / 2]) };
  const [normed] = rmsNorm(x, input("input_layernorm.weight", [spec.hiddenSize]), spec.rmsNormEps);
  const { y, k, v } = selfAttention(normed, spec, plan, inputs);
  const attended = add(x, y);
  const [normedAgain] = rmsNorm(attended, input("post_attention_layernorm.weight", [spec.hiddenSize]), spec.rmsNormEps);
  return { y: add(attended, gatedMlp(normedAgain, plan)), k, v };
}
