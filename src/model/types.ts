/** Rotary position embedding: the base of the frequencies and how they are stretched. */
export interface RopeSpec {
  readonly theta: number;
  readonly scaling: RopeScaling;
}

/** How the rotary frequencies are stretched for contexts longer than the pre-training one. */
export type RopeScaling =
  | { readonly kind: "none" }
  | { readonly kind: "linear"; readonly factor: number }
  | {
      readonly kind: "llama3";
      readonly factor: number;
      readonly lowFrequencyFactor: number;
      readonly highFrequencyFactor: number;
      readonly originalMaxPositions: number;
    };

/** Which projections carry a bias vector. */
export interface BiasSpec {
  readonly q: boolean;
  readonly k: boolean;
  readonly v: boolean;
  readonly o: boolean;
  readonly mlp: boolean;
}

/** Weights stored as bitsandbytes NF4. */
export interface Nf4Spec {
  readonly method: "bitsandbytes-nf4";
  readonly doubleQuant: boolean;
  /** Linear modules left dense: a full path, its last part, or a parent's path. */
  readonly skipModules: readonly string[];
}

/** All of a {@link ModelSpec} but the name of its architecture: what an architecture's record works with. */
export interface ModelShape {
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layerCount: number;
  readonly headCount: number;
  /** Key and value heads; divides {@link headCount}. */
  readonly kvHeadCount: number;
  readonly headDim: number;
  readonly vocabSize: number;
  readonly rmsNormEps: number;
  readonly rope: RopeSpec;
  /** True if `lm_head.weight` is `model.embed_tokens.weight`. */
  readonly tieWordEmbeddings: boolean;
  readonly biases: BiasSpec;
  /** True if queries and keys pass an RMS norm over `headDim` before the rotation. */
  readonly qkNorm: boolean;
  /** Per layer: how many positions back a token attends, itself included; null is all. */
  readonly slidingWindows: readonly (number | null)[];
  readonly maxPositions: number;
  readonly bosTokenId: number | null;
  readonly eosTokenIds: readonly number[];
  readonly padTokenId: number | null;
  readonly quantization: Nf4Spec | null;
  /** `float32`, `bfloat16` or `float16`, as the file spells it. */
  readonly torchDtype: string | null;
  /** The JSON object as read. */
  readonly raw: Readonly<Record<string, unknown>>;
}

/** A module that owns parameters. */
export interface ModuleSpec {
  /** Dotted path from the model's root: `model.layers.0.self_attn.q_proj`. */
  readonly path: string;
  readonly kind: "Embedding" | "Linear" | "RMSNorm";
  /** Of the weight: `[out, in]`, `[vocab, hidden]` or `[dim]`. */
  readonly shape: readonly number[];
  readonly bias: boolean;
  readonly layer: number | null;
}

/** What a parameter of the base model is. */
export type ParameterKind = "embedding" | "linear" | "bias" | "norm" | "head";

/** One tensor of the base model. */
export interface ParameterSpec {
  /** `model.layers.0.self_attn.q_proj.weight`: the key in the model's files. */
  readonly name: string;
  readonly module: string;
  readonly shape: readonly number[];
  readonly kind: ParameterKind;
  readonly layer: number | null;
  /** The parameter that this one shares its storage with; it is in no file then. */
  readonly tiedTo?: string;
}
