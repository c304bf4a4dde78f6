import type { Architecture } from "../architectures/index.ts";

/** How a family of models is stored as GGUF. */
export interface GgufArchitecture {
  /** Its `model_type` in config.json. */
  readonly architecture: Architecture;
  /** Whether the rows of q and k are in llama.cpp's order for rotating neighbours instead of halves. */
  readonly permutes: boolean;
}

/**
 * `general.architecture` to what it is here. llama is also what Mistral 7B, SmolLM,
 * TinyLlama and others are stored as: the file does not tell them apart, and none of
 * them computes anything else (Mistral's window is not in the file, and llama.cpp has none).
 */
export const GGUF_ARCHITECTURES: Readonly<Record<string, GgufArchitecture>> = {
  llama: { architecture: "llama", permutes: true },
  qwen2: { architecture: "qwen2", permutes: false },
  qwen3: { architecture: "qwen3", permutes: false },
};
