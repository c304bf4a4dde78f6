import { type ModelSpec, parseModelConfig } from "../../model/index.ts";

/** A well-known model by its shape: nothing of it is downloaded. */
export interface KnownModel {
  readonly name: string;
  readonly config: Readonly<Record<string, unknown>>;
}

type Sizes = readonly [hidden: number, intermediate: number, layers: number, heads: number, kvHeads: number, vocab: number, tied: boolean];

const CLASSES = { llama: "LlamaForCausalLM", qwen2: "Qwen2ForCausalLM", mistral: "MistralForCausalLM" } as const;

/** Positions do not matter for a plan; these are enough for every length that a run could ask for. */
const POSITIONS = 32768;

function known(name: string, type: keyof typeof CLASSES, [hidden, intermediate, layers, heads, kvHeads, vocab, tied]: Sizes): KnownModel {
  return {
    name,
    config: {
      architectures: [CLASSES[type]],
      model_type: type,
      hidden_size: hidden,
      intermediate_size: intermediate,
      num_hidden_layers: layers,
      num_attention_heads: heads,
      num_key_value_heads: kvHeads,
      head_dim: hidden / heads,
      vocab_size: vocab,
      tie_word_embeddings: tied,
      max_position_embeddings: POSITIONS,
      rms_norm_eps: 1e-5,
      rope_theta: 10000,
      torch_dtype: "bfloat16",
    },
  };
}

/** Sizes as in each model's config.json on the hub, smallest first. */
export const KNOWN_MODELS: readonly KnownModel[] = [
  known("SmolLM2-135M", "llama", [576, 1536, 30, 9, 3, 49152, true]),
  known("SmolLM2-360M", "llama", [960, 2560, 32, 15, 5, 49152, true]),
  known("Qwen2.5-0.5B", "qwen2", [896, 4864, 24, 14, 2, 151936, true]),
  known("Llama-3.2-1B", "llama", [2048, 8192, 16, 32, 8, 128256, true]),
  known("Qwen2.5-1.5B", "qwen2", [1536, 8960, 28, 12, 2, 151936, true]),
  known("SmolLM2-1.7B", "llama", [2048, 8192, 24, 32, 32, 49152, true]),
  known("Llama-3.2-3B", "llama", [3072, 8192, 28, 24, 8, 128256, true]),
  known("Mistral-7B", "mistral", [4096, 14336, 32, 32, 8, 32768, false]),
  known("Qwen2.5-7B", "qwen2", [3584, 18944, 28, 28, 4, 152064, false]),
  known("Llama-3.1-8B", "llama", [4096, 14336, 32, 32, 8, 128256, false]),
];

/** The small model whose step is measured: SmolLM2-135M's layers, four of them, and a small vocabulary. */
export const MEASURED_MODEL: KnownModel = known("four layers of SmolLM2-135M", "llama", [576, 1536, 4, 9, 3, 8192, true]);

/** Its specification. */
export function specOf({ name, config }: KnownModel): ModelSpec {
  return parseModelConfig(config, name);
}
