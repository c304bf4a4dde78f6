/** How the LoRA matrices start: A Kaiming uniform and B zero; A normal and B zero; both random. */
export type LoraInit = true | "gaussian" | false;

/** What an adapter is, independent of the base model it is put on. */
export interface AdapterSpec {
  readonly rank: number;
  readonly alpha: number;
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
  readonly bias: "none";
  /** On a tied base: the copies of embedding and head are one tensor. */
  readonly ensureWeightTying: boolean;
  readonly initLoraWeights: LoraInit;
  readonly baseModel: string | null;
  readonly peftVersion: string | null;
}

/** A linear module with its pair of LoRA matrices. */
export interface LoraTarget {
  readonly module: string;
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly rank: number;
  readonly alpha: number;
  /** alpha / rank: the factor on B·A. */
  readonly scaling: number;
  readonly layer: number | null;
}

/** A parameter of the base that the adapter trains and stores as a whole. */
export interface FullCopy {
  /** `lm_head` */
  readonly module: string;
  /** `lm_head.weight` */
  readonly parameter: string;
  readonly shape: readonly number[];
  /** The module whose copy this one shares its storage with (`ensureWeightTying`). */
  readonly tiedWith?: string;
}

/** An adapter put on a model: every module that it touches, in `named_modules()` order. */
export interface ResolvedAdapter {
  readonly lora: readonly LoraTarget[];
  readonly fullCopies: readonly FullCopy[];
  /** All modules of the base in order, to interleave the two lists as PyTorch does. */
  readonly moduleOrder: readonly string[];
}

/** What a tensor of an adapter is. */
export type AdapterRole = "lora_A" | "lora_B" | "full_copy";

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
}
