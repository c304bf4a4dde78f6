/** Names outside the layers: GGUF's to those of transformers. */
const GLOBAL: Readonly<Record<string, string>> = {
  token_embd: "model.embed_tokens",
  output_norm: "model.norm",
  output: "lm_head",
};

/** Modules of a layer: GGUF's to those of transformers. */
const LAYER: Readonly<Record<string, string>> = {
  attn_norm: "input_layernorm",
  attn_q: "self_attn.q_proj",
  attn_k: "self_attn.k_proj",
  attn_v: "self_attn.v_proj",
  attn_output: "self_attn.o_proj",
  attn_q_norm: "self_attn.q_norm",
  attn_k_norm: "self_attn.k_norm",
  ffn_norm: "post_attention_layernorm",
  ffn_gate: "mlp.gate_proj",
  ffn_up: "mlp.up_proj",
  ffn_down: "mlp.down_proj",
};

const NAME = /^(?:blk\.(0|[1-9]\d{0,5})\.)?([a-z_]+)\.(weight|bias)$/;

/** What transformers calls a tensor of a GGUF file; null for one that no LLaMA-family model has. */
export function hfTensorName(name: string): string | null {
  const [, layer, module = "", part = ""] = NAME.exec(name) ?? [];
  const table = layer === undefined ? GLOBAL : LAYER;
  const path = Object.hasOwn(table, module) ? table[module] : undefined;
  if (path === undefined) return null;
  return layer === undefined ? `${path}.${part}` : `model.layers.${layer}.${path}.${part}`;
}

const invert = (table: Readonly<Record<string, string>>): ReadonlyMap<string, string> =>
  new Map(Object.entries(table).map(([gguf, hf]) => [hf, gguf]));
const GLOBAL_INVERSE = invert(GLOBAL);
const LAYER_INVERSE = invert(LAYER);

/** What llama.cpp calls a tensor of transformers; null for one that no LLaMA-family model has. */
export function ggufTensorName(name: string): string | null {
  const [, path = "", part = ""] = /^(.+)\.(weight|bias)$/.exec(name) ?? [];
  const [, layer, inner = ""] = /^model\.layers\.(0|[1-9]\d{0,5})\.(.+)$/.exec(path) ?? [];
  const module = layer === undefined ? GLOBAL_INVERSE.get(path) : LAYER_INVERSE.get(inner);
  if (module === undefined) return null;
  return layer === undefined ? `${module}.${part}` : `blk.${layer}.${module}.${part}`;
}

/** Which of its heads' rows llama.cpp stores in another order; null for every other tensor. */
export function permutedHeads(hfName: string): "query" | "key" | null {
  if (/\.self_attn\.q_proj\.(?:weight|bias)$/.test(hfName)) return "query";
  return /\.self_attn\.k_proj\.(?:weight|bias)$/.test(hfName) ? "key" : null;
}
