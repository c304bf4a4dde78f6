// export/import: from a GGUF file to a model folder: configuration, tokenizer, weights.
// Must not know the engine, and needs no runtime.
export { type ImportOptions, type ImportResult, importGguf } from "./import-gguf.ts";
export { PRE_TOKENIZERS } from "./tokenizer/pre-tokenizers.ts";
export { TOKEN_TYPE } from "./tokenizer/vocabulary.ts";
export type { ImportDtype, WeightsProgress } from "./weights.ts";
