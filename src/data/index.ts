// data: from data files and a tokenizer to batches of token ids: readers, chat templates, tokenization, packing,
// sampling with an exact position. Reads files; must not know models, tensors on a device or the training loop.

export type { TrainOn } from "./assistant-spans.ts";
export {
  type BatchOptions,
  type BatchPosition,
  BatchSource,
  type EpochPlan,
  type ExamplePart,
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
export type { DatasetReport } from "./dataset-report.ts";
export type { TooLongPolicy } from "./encode-batch.ts";
export {
  countLabels,
  type EncodedRow,
  type EncoderOptions,
  type Example,
  exampleLength,
  NO_LABEL,
  type RowEncoder,
  rowEncoder,
  type ToolStyle,
} from "./example.ts";
export { fingerprintExamples } from "./fingerprint.ts";
export type { RowForm } from "./forms/index.ts";
export {
  type DataSource,
  type Dataset,
  type DatasetOptions,
  type DatasetReading,
  loadDataset,
} from "./load-dataset.ts";
export { loadTokenizer } from "./load-tokenizer.ts";
export { type MicroBatch, sequenceBuckets } from "./micro-batch.ts";
export type { FileReport, ReadingOptions } from "./read-records.ts";
export type { TextRows } from "./readers/index.ts";
export { datasetReading } from "./reading-config.ts";
export type { ChatRecord, DataRecord, Turn } from "./record.ts";
export {
  type CheckedSet,
  checkData,
  type DataCheck,
  type DataFinding,
  type LengthSummary,
  type ReviewEncoding,
  type ShownData,
  type ShownFile,
  type ShownRow,
  showData,
} from "./review/index.ts";
export { tokenCacheFolder } from "./token-cache.ts";
export {
  createTokenizer,
  type DecodeOptions,
  type EncodeOptions,
  requireEmbeddingRows,
  type Tokenizer,
  type TokenizerFiles,
} from "./tokenizer.ts";
