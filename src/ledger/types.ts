/** What a tensor is in a model with an adapter. */
export type Role =
  | "base"
  | "quantized_base"
  | "lora_A"
  | "lora_B"
  | "lora_bias"
  | "lora_magnitude"
  | "token_rows"
  | "full_copy"
  | "bias"
  | "other";

/** How a ledger came to be: from configuration, file headers, an optimizer's state, or live tensors. */
export type LedgerBasis = "predicted" | "recorded" | "optimizer" | "observed";

/** One tensor of the table. Tensors that share storage are listed once. */
export interface LedgerEntry {
  /** As PyTorch's `named_parameters()` says it in a live PEFT model. */
  readonly name: string;
  readonly module: string;
  readonly role: Role;
  readonly shape: readonly number[];
  /** A safetensors dtype, or `NF4`. */
  readonly dtype: string;
  /** Bytes that the values take, the scales of a quantized tensor included. */
  readonly bytes: number;
  readonly parameters: number;
  readonly trainable: boolean;
  /** Learning-rate group; null if frozen or unknown. */
  readonly group: string | null;
  readonly state: "present";
}

/** The exact table of a model's tensors, in `named_parameters()` order. */
export interface Ledger {
  readonly basis: LedgerBasis;
  readonly entries: readonly LedgerEntry[];
}

/** Sums over a ledger, in numbers of values (not bytes). */
export interface LedgerCounts {
  readonly trainable: number;
  readonly frozen: number;
  readonly all: number;
  /** 100 · trainable / all; 0 for an empty ledger. */
  readonly percent: number;
  readonly lora: number;
  readonly fullCopies: number;
  readonly bias: number;
  readonly magnitude: number;
  /** Values of the base model itself, quantized or not, embeddings included. */
  readonly base: number;
  /** Of the base: its input and output embedding. */
  readonly embeddings: number;
}

/** How a tensor differs between two ledgers. */
export type LedgerDifferenceKind = "missing" | "extra" | "shape" | "dtype" | "role" | "trainable→frozen" | "frozen→trainable" | "group";

/** One way in which two ledgers differ in one tensor. */
export interface LedgerDifference {
  readonly kind: LedgerDifferenceKind;
  readonly name: string;
  readonly expected: string | null;
  readonly found: string | null;
}

/** What a learning-rate group needs to be matched; more fields may be there. */
export interface GroupRule {
  readonly name: string;
  readonly match: readonly string[];
}
