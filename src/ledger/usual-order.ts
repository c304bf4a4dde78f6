import type { LedgerEntry } from "./types.ts";

/** Modules of a decoder layer in the order in which transformers' Llama, Mistral and Qwen register them. */
const WITHIN_LAYER = [
  /(q_proj|query)$/,
  /(k_proj|key)$/,
  /(v_proj|value)$/,
  /(qkv_proj|query_key_value|c_attn)$/,
  /o_proj$/,
  /q_norm$/,
  /k_norm$/,
  /gate_proj$/,
  /gate_up_proj$/,
  /up_proj$/,
  /down_proj$/,
  /input_layernorm$/,
  /post_attention_layernorm$/,
];
const WITHIN_MODULE = [
  /\.base_layer\.weight$/,
  /\.base_layer\.bias$/,
  /lora_(embedding_)?A/,
  /lora_(embedding_)?B(?!.*bias)/,
  /lora_B.*bias$/,
  /lora_magnitude/,
];
const AT_THE_START = /(embed_tokens|word_embeddings|wte|wpe)$/;
const AT_THE_END = /(lm_head|embed_out|score|classifier)$/;

type Place = readonly [section: number, layer: number, module: number, tensor: number];

const rankIn = (patterns: readonly RegExp[], text: string): number => {
  const rank = patterns.findIndex((pattern) => pattern.test(text));
  return rank < 0 ? patterns.length : rank;
};

function placeOf({ module, name }: LedgerEntry): Place {
  const layer = /\.(\d+)(?=\.|$)/.exec(module)?.[1];
  const section = layer !== undefined ? 1 : AT_THE_START.test(module) ? 0 : AT_THE_END.test(module) ? 3 : 2;
  return [section, Number(layer ?? 0), rankIn(WITHIN_LAYER, module), rankIn(WITHIN_MODULE, name)];
}

/**
 * Entries in the order that `named_parameters()` usually has, told from names
 * alone: embedding, layers, norm, head. For a ledger without a model's configuration.
 */
export function inUsualOrder(entries: readonly LedgerEntry[]): LedgerEntry[] {
  const placed = entries.map((entry) => ({ entry, place: placeOf(entry) }));
  placed.sort((a, b) => {
    for (const [i, rank] of a.place.entries()) {
      const difference = rank - (b.place[i] as number);
      if (difference !== 0) return difference;
    }
    return a.entry.name < b.entry.name ? -1 : 1;
  });
  return placed.map(({ entry }) => entry);
}
