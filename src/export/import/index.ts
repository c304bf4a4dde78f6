// export/import: from a GGUF file to a model folder: configuration, tokenizer, weights.
// Must not know the engine, and needs no runtime.
export { type ImportOptions, type ImportResult, importGguf } from "./import-gguf.ts";
export type { ImportDtype, WeightsProgress } from "./weights.ts";
