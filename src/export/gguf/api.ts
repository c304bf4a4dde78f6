import type { MergeRequest } from "../merge/index.ts";

/** Types that the matrices of a GGUF model are written in. */
export const GGUF_TYPES = ["f16", "bf16", "q8_0"] as const;
/** One of {@link GGUF_TYPES}. */
export type GgufType = (typeof GGUF_TYPES)[number];

/** What to export, and into what. */
export interface GgufRequest extends Pick<MergeRequest, "base" | "original" | "onto" | "heldAs" | "check"> {
  /** Folder of a model; or of an adapter, a checkpoint or a run, which is merged first. */
  readonly path: string;
  /** File to write. */
  readonly output: string;
  /** @defaultValue "f16" */
  readonly type?: GgufType;
  /** Write the adapter by itself, for llama.cpp's `--lora`, instead of the merged model. @defaultValue false */
  readonly lora?: boolean;
}

/** What became of it. */
export interface GgufResult {
  readonly output: string;
  readonly source: string;
  readonly kind: "model" | "lora";
  /** `general.architecture`. */
  readonly architecture: string;
  readonly tensors: number;
  readonly bytes: number;
  /** Tensors by their type in the file. */
  readonly types: Readonly<Record<string, number>>;
  /** `tokenizer.ggml.model`: byte-level BPE or SentencePiece; null for an adapter. */
  readonly tokenizerModel: "gpt2" | "llama" | null;
  /** `tokenizer.ggml.pre`; null for an adapter. */
  readonly preTokenizer: string | null;
  readonly notes: readonly string[];
  readonly seconds: number;
}
