/**
 * How the LoRA matrices start: true is A Kaiming uniform and B zero, `gaussian` A normal and B zero, false both
 * random. Other names are PEFT's; most of them change the base weights as well (PiSSA, OLoRA, CorDA …).
 */
export type LoraInit = boolean | string;

/** A number for each module that a pattern means: `layers.1.mlp.down_proj`, a Python pattern for the end of its path. */
export type ModulePattern = Readonly<Record<string, number>>;

/** Rows of an embedding that are trained: of the input embedding, or by name of the module. */
export type TokenIndices = readonly number[] | Readonly<Record<string, readonly number[]>>;

/** What a LoRA adapter is, independent of the base model it is put on: everything that decides its tensors and their scaling. */
export interface AdapterSpec {
  readonly rank: number;
  readonly alpha: number;
  /** Ranks of modules that differ; the first pattern that matches wins. */
  readonly rankPattern: ModulePattern;
  readonly alphaPattern: ModulePattern;
  /** Scaling by alpha / √rank (rsLoRA, Kalajdzievski 2023) instead of alpha / rank. */
  readonly useRslora: boolean;
  /** A trained length for each row of the weight (DoRA, Liu et al. 2024). */
  readonly useDora: boolean;
  readonly dropout: number;
  /** Module names (exact or last parts), a Python pattern, or `all-linear`. */
  readonly targetModules: readonly string[] | string;
  readonly excludeModules: readonly string[] | string | null;
  /** Layers that get LoRA matrices; null is all. */
  readonly layersToTransform: readonly number[] | null;
  /** Names of the layer list (`layers`), as Python patterns; null or empty is any. */
  readonly layersPattern: readonly string[] | string | null;
  /** Modules trained as full copies, by the end of their path. */
  readonly modulesToSave: readonly string[];
  /** Which biases of the base are trained: none, all, or those of modules with LoRA. */
  readonly bias: "none" | "all" | "lora_only";
  /** Whether every B has a bias of its own. */
  readonly loraBias: boolean;
  readonly trainableTokenIndices: TokenIndices | null;
  /** On a tied base: what embedding and head get is one. */
  readonly ensureWeightTying: boolean;
  readonly initLoraWeights: LoraInit;
  /** Tokens from which on an activated LoRA (aLoRA) works; null: always. */
  readonly aloraInvocationTokens: readonly number[] | null;
  readonly taskType: string | null;
  readonly baseModel: string | null;
  readonly peftVersion: string | null;
}

/** A module with its pair of LoRA matrices. */
export interface LoraTarget {
  readonly module: string;
  /** `Embedding`: A is [rank, rows] and B [width, rank], under names of their own. */
  readonly kind: "Linear" | "Embedding";
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly rank: number;
  readonly alpha: number;
  /** The factor on B·A: alpha / rank, or alpha / √rank. */
  readonly scaling: number;
  readonly layer: number | null;
}

/** A parameter of the base that the adapter trains and stores as a whole. */
export interface FullCopy {
  /** The module that is copied: `lm_head`, or a block such as `model.layers.0.mlp`. */
  readonly module: string;
  /** `lm_head.weight` */
  readonly parameter: string;
  readonly shape: readonly number[];
  /** The module whose copy this one shares its storage with (`ensureWeightTying`). */
  readonly tiedWith?: string;
}

/** Rows of an embedding or head that are trained one by one. */
export interface TokenRows {
  readonly module: string;
  /** [number of tokens, width] */
  readonly shape: readonly number[];
  /** The module whose rows these are (tied weights): there is no tensor of their own. */
  readonly tiedWith?: string;
}

/** A parameter of the base that PEFT stores with the adapter. */
export interface StoredBase {
  readonly module: string;
  /** `model.layers.0.self_attn.q_proj.bias` */
  readonly parameter: string;
  readonly shape: readonly number[];
  readonly trained: boolean;
}

/** An adapter put on a model: every module that it touches, in `named_modules()` order. */
export interface ResolvedAdapter {
  readonly lora: readonly LoraTarget[];
  readonly fullCopies: readonly FullCopy[];
  readonly tokenRows: readonly TokenRows[];
  /** Trained biases, and embeddings that are stored beside their LoRA matrices. */
  readonly storedBase: readonly StoredBase[];
  /** What each pair of matrices has besides. */
  readonly extras: {
    readonly magnitude: boolean;
    /** What B's bias counts as, if it has one: `bias: all` trains it as it does the base's, also after PEFT froze the rest. */
    readonly loraBias: "lora_bias" | "bias" | null;
    /** `bias: all` stores the biases of full copies once more, under their live names. */
    readonly repeatsBiases: boolean;
    /** B is stored, but not trained (MiCA). */
    readonly frozenB: boolean;
  };
  /** All modules of the base in order, to interleave the lists as PyTorch does. */
  readonly moduleOrder: readonly string[];
}

/** What a tensor of an adapter is; `base` is a weight of the base that is stored, but not trained. */
export type AdapterRole = "lora_A" | "lora_B" | "lora_bias" | "lora_magnitude" | "token_rows" | "bias" | "full_copy" | "base";

/** One tensor of an adapter. */
export interface AdapterTensor {
  /** The key in the file: `base_model.model.<module>.lora_A.weight`. */
  readonly name: string;
  /** The name in a live PEFT model: `base_model.model.<module>.lora_A.default.weight`. */
  readonly liveName: string;
  readonly module: string;
  readonly role: AdapterRole;
  readonly shape: readonly number[];
  /** Live name of the tensor whose storage this one shares; it is not listed by `named_parameters()`. */
  readonly aliasOf?: string;
  /** True if it is stored, but not trained. */
  readonly frozen?: true;
}
