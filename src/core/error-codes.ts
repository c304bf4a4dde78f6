/** Exit codes of the command line, DESIGN §3. */
export type ExitCode = 2 | 10 | 11 | 12 | 13 | 14 | 20 | 21 | 22 | 30 | 40 | 70 | 130;

interface CodeEntry {
  readonly exit: ExitCode;
  /** What the code means, one sentence, for the reference page. */
  readonly summary: string;
}

/**
 * Every error code that heirloom can end with: its exit code and its meaning.
 * The codes are a public contract; scripts compare with them.
 */
export const ERROR_CODES = {
  // usage
  USAGE: { exit: 2, summary: "The command line could not be understood." },
  // configuration
  CONFIG_INVALID: { exit: 10, summary: "A value in the configuration is not what the schema asks for." },
  CONFIG_UNKNOWN_KEY: { exit: 10, summary: "The configuration has a key that the schema does not know." },
  CONFIG_SYNTAX: { exit: 10, summary: "The configuration file is not valid YAML or JSON." },
  ADAPTER_RANK_INVALID: { exit: 10, summary: "The LoRA rank is not a positive whole number." },
  ADAPTER_TARGET_MISSING: { exit: 10, summary: "A target matches no module of the base model." },
  ADAPTER_TIED_CHOICE: {
    exit: 10,
    summary: "Embedding or head of a tied base are to be trained, and it is not said whether as one or apart.",
  },
  ADAPTER_PATTERN_UNSUPPORTED: { exit: 10, summary: "A Python pattern cannot be carried over to JavaScript unchanged." },
  DATA_TOO_LARGE: { exit: 11, summary: "The tokens of a data set do not fit into memory, and there is no cache on disk." },
  DATA_EMPTY: { exit: 10, summary: "A data file holds no rows to train on." },
  DATA_ROW_TOO_LONG: { exit: 10, summary: "Rows are longer than maxLength, and the policy for them is to stop." },
  DATA_NO_LABELS: { exit: 10, summary: "No row of a data set has a label token." },
  PROMPT_TOO_LONG: { exit: 10, summary: "A prompt leaves no room for an answer in the context." },
  SAMPLING_INVALID: { exit: 10, summary: "A sampling option lies outside of what it can be." },
  MODEL_UNKNOWN: { exit: 10, summary: "A request names a model that is not open." },
  SERVER_EXPOSED: { exit: 10, summary: "The server would be open to others without a token." },
  CACHE_TOO_LARGE: { exit: 10, summary: "The keys and values of all slots would take more memory than they may." },
  // file formats
  FILE_MISSING: { exit: 11, summary: "A file or folder that was named does not exist." },
  FILE_UNREADABLE: { exit: 11, summary: "A file exists but could not be read." },
  SAFETENSORS_INVALID: { exit: 11, summary: "A safetensors file is malformed." },
  SAFETENSORS_TRUNCATED: { exit: 11, summary: "A safetensors file ends before its tensors do." },
  SHARD_INDEX_INVALID: { exit: 11, summary: "A shard index contradicts itself or its shards." },
  JSON_INVALID: { exit: 11, summary: "A JSON file could not be parsed." },
  JSONL_INVALID: { exit: 11, summary: "Rows of a JSON Lines file could not be parsed." },
  WEIGHTS_SHARDED: { exit: 11, summary: "The weights are only there in the pieces that DeepSpeed or FSDP left." },
  LFS_POINTER: { exit: 11, summary: "The file is a Git LFS pointer, not the content." },
  MODEL_CONFIG_INVALID: { exit: 11, summary: "A model's config.json lacks a field or contradicts itself." },
  PEFT_CONFIG_INVALID: { exit: 11, summary: "An adapter_config.json is not a usable PEFT configuration." },
  TOKENIZER_INVALID: { exit: 11, summary: "A tokenizer.json could not be used." },
  CHAT_TEMPLATE_INVALID: { exit: 11, summary: "A chat template failed or is missing." },
  DATA_FORMAT_INVALID: { exit: 11, summary: "Rows of a data file do not have the fields of a known form." },
  TENSOR_MISSING: { exit: 11, summary: "A tensor that the model needs is not in its files." },
  TENSOR_SHAPE: { exit: 11, summary: "A tensor has another shape than the configuration gives it." },
  TENSOR_DTYPE: { exit: 11, summary: "A tensor has a dtype that cannot be used here." },
  TENSOR_NOT_FINITE: { exit: 11, summary: "A weight is NaN or infinite." },
  BNB_INVALID: { exit: 11, summary: "A bitsandbytes 4-bit weight lacks or contradicts its quantization state." },
  QUANTIZATION_UNSUPPORTED: { exit: 11, summary: "The file uses a quantization that is not supported." },
  TORCH_FILE_INVALID: { exit: 11, summary: "A file of torch.save is malformed or cut short." },
  TORCH_FILE_UNSUPPORTED: { exit: 11, summary: "A torch file uses a form that is not read: legacy, compressed, encrypted or a program." },
  GGUF_INVALID: { exit: 11, summary: "A GGUF file is malformed." },
  GGUF_TRUNCATED: { exit: 11, summary: "A GGUF file ends before its tensors do." },
  GGUF_UNSUPPORTED: { exit: 11, summary: "A GGUF file uses a version, a tokenizer or a feature that cannot be imported." },
  PICKLE_INVALID: { exit: 11, summary: "A Python pickle is malformed or beyond the limits." },
  PICKLE_UNSAFE: { exit: 11, summary: "A Python pickle asks for something other than tensors and plain values; it was not run." },
  MLX_ADAPTER_INVALID: { exit: 11, summary: "An mlx-lm adapter's configuration or tensors are malformed." },
  RECORD_INVALID: { exit: 11, summary: "A run.json is malformed or of a later schema." },
  // incompatible
  ARCHITECTURE_UNSUPPORTED: { exit: 12, summary: "The engine does not run this model architecture." },
  ADAPTER_UNSUPPORTED: { exit: 12, summary: "The adapter uses a PEFT feature that is not implemented." },
  ADAPTER_INCOMPATIBLE: { exit: 12, summary: "The adapter does not fit the base model." },
  CONTINUE_CHANGED: { exit: 12, summary: "A continuation differs from the adapter in something that no --change names." },
  CONTINUE_CHANGE_INVALID: { exit: 12, summary: "A change asked of a continuation cannot be made." },
  BASE_MISMATCH: { exit: 12, summary: "The base model is not the one that the adapter was trained on." },
  TOKENIZER_TOO_LARGE: { exit: 12, summary: "The tokenizer has ids beyond the rows of the embedding." },
  COMPARISON_EMPTY: { exit: 12, summary: "Two states that were to be compared have no tensor in common." },
  RECIPE_UNSUPPORTED: { exit: 12, summary: "A tool cannot go on with this adapter as what it is." },
  RECIPE_INCOMPLETE: { exit: 12, summary: "The adapter's files do not say enough to write a recipe." },
  EXPORT_UNSUPPORTED: { exit: 12, summary: "The format that was asked for cannot hold the adapter or model as what it is." },
  LEDGER_MISMATCH: { exit: 12, summary: "The trainable tensors are not those that the ledger states." },
  HANDOVER_UNSUPPORTED: { exit: 12, summary: "Another trainer's checkpoint cannot be gone on with as what it is." },
  HANDOVER_INCOMPLETE: { exit: 12, summary: "Another trainer's checkpoint does not say enough, and the configuration neither." },
  RESUME_CHANGED: { exit: 12, summary: "A resumed run's configuration or data differs from its record or its checkpoint." },
  // others
  PEER_MISSING: { exit: 13, summary: "An optional peer dependency is needed and not installed." },
  NETWORK: { exit: 14, summary: "A remote file could not be had." },
  SERVER_ADDRESS: { exit: 14, summary: "The server cannot listen at the address that it was given." },
  AUDIT_FINDINGS: { exit: 20, summary: "The audit found errors." },
  GATE_FAILED: { exit: 21, summary: "An evaluation gate was not met." },
  LIVENESS_FAILED: { exit: 22, summary: "A tensor said to be trainable did not move, or another one did." },
  LOSS_NOT_FINITE: { exit: 30, summary: "The loss or a gradient became NaN or infinite." },
  COMPUTE_FAILED: { exit: 30, summary: "The runtime failed to compute." },
  MERGE_MISMATCH: { exit: 30, summary: "The merged model does not give the adapter's logits." },
  DISK_FULL: { exit: 40, summary: "The disk is full." },
  WRITE_FAILED: { exit: 40, summary: "A file could not be written." },
  OUTPUT_EXISTS: { exit: 40, summary: "The output exists already and would be overwritten." },
  RUN_LOCKED: { exit: 40, summary: "Another process works on the run." },
  CHECKPOINT_INVALID: { exit: 40, summary: "A checkpoint is incomplete or damaged." },
  INTERRUPTED: { exit: 130, summary: "The run was interrupted after a checkpoint." },
  INTERNAL: { exit: 70, summary: "A fault of heirloom itself; please report it." },
} as const satisfies Record<string, CodeEntry>;

/** A stable, public error code. */
export type ErrorCode = keyof typeof ERROR_CODES;
