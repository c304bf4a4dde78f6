import type { ModelShape, ModuleSpec } from "../types.ts";

/** The modules of a Llama decoder layer, with optional biases and query/key norms. */
export function llamaBlock(spec: ModelShape, layer: number): ModuleSpec[] {
  const { hiddenSize: H, intermediateSize: M, headDim, biases } = spec;
  const queryWidth = spec.headCount * headDim;
  const keyWidth = spec.kvHeadCount * headDim;
  const prefix = `model.layers.${layer}`;
  const linear = (name: string, outFeatures: number, inFeatures: number, bias: boolean): ModuleSpec => ({
    path: `${prefix}.${name}`,
    kind: "Linear",
    shape: [outFeatures, inFeatures],
    bias,
    layer,
  });
  const norm = (name: string, size: number): ModuleSpec => ({
    path: `${prefix}.${name}`,
    kind: "RMSNorm",
    shape: [size],
    bias: false,
    layer,
  });
  return [
    linear("self_attn.q_proj", queryWidth, H, biases.q),
    linear("self_attn.k_proj", keyWidth, H, biases.k),
    linear("self_attn.v_proj", keyWidth, H, biases.v),
    linear("self_attn.o_proj", H, queryWidth, biases.o),
    ...(spec.qkNorm ? [norm("self_attn.q_norm", headDim), norm("self_attn.k_norm", headDim)] : []),
    linear("mlp.gate_proj", M, H, biases.mlp),
    linear("mlp.up_proj", M, H, biases.mlp),
    linear("mlp.down_proj", H, M, biases.mlp),
    norm("input_layernorm", H),
    norm("post_attention_layernorm", H),
  ];
}
