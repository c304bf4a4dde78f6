import { gemm, input, maskScale, type Value } from "../compute/index.ts";

/** How one linear layer of a block is built: its shape, bias, and LoRA if it has one. */
export interface LinearPlan {
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly bias: boolean;
  readonly lora: { readonly rank: number; readonly scaling: number } | null;
}

/**
 * y = x·Wᵀ + bias + scaling·((dropout(x)·Aᵀ)·B) over rows.
 *
 * x [M, in], W [out, in], A [R, in]. B is held as [R, out], the transpose of
 * PEFT's `lora_B`: about 3 % of a block's time (ENGINE measurements); it is
 * transposed when it is read and saved. The second LoRA product takes the base
 * product as its C, so that no separate addition runs.
 *
 * @param name module path relative to the block, e.g. `self_attn.q_proj`;
 *   graph inputs are named after it: `.weight`, `.bias`, `.lora_A`, `.lora_B`, `.dropout`.
 */
export function linear(x: Value, name: string, plan: LinearPlan, dropout: number): Value {
  const rows = x.shape[0] as number;
  const weight = input(`${name}.weight`, [plan.outFeatures, plan.inFeatures]);
  const bias = plan.bias ? { c: input(`${name}.bias`, [plan.outFeatures]) } : {};
  const y = gemm(x, weight, { transB: true, ...bias });
  if (plan.lora === null) return y;
  const { rank, scaling } = plan.lora;
  const a = input(`${name}.lora_A`, [rank, plan.inFeatures]);
  const b = input(`${name}.lora_B`, [rank, plan.outFeatures]);
  const dropped = dropout > 0 ? maskScale(x, input(`${name}.dropout`, [rows, plan.inFeatures], "uint8"), 1 / (1 - dropout)) : x;
  return gemm(gemm(dropped, a, { transB: true }), b, { c: y, alpha: scaling });
}
