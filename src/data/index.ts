// data: from data files and a tokenizer to batches of token ids: readers, chat templates, tokenization, packing,
// sampling with an exact position. Reads files; must not know models, tensors on a device or the training loop.
export {
  type BatchOptions,
  type BatchPosition,
  BatchSource,
  type EpochPlan,
  evalBatches,
  planEpoch,
  type TrainingBatchOptions,
} from "./batch-source.ts";
export {
  type ChatMessage,
  type ChatTemplate,
  type ChatTemplateOptions,
  compileChatTemplate,
  type RenderedChat,
  type RenderOptions,
  type Span,
} from "./chat-template.ts";
export { countLabels, type EncodedRow, type Example, NO_LABEL, type RowEncoder, rowEncoder } from "./example.ts";
export {
  type Dataset,
  type DatasetOptions,
  type DatasetReport,
  fingerprintExamples,
  loadDataset,
  type TooLongPolicy,
} from "./load-dataset.ts";
export { loadTokenizer } from "./load-tokenizer.ts";
export { type MicroBatch, sequenceBuckets } from "./micro-batch.ts";
export type { Row, RowForm } from "./row-forms.ts";
export {
  createTokenizer,
  type DecodeOptions,
  type EncodeOptions,
  requireEmbeddingRows,
  type Tokenizer,
  type TokenizerFiles,
} from "./tokenizer.ts";
