// model/gguf: what a model is, from the metadata and tensor names of a GGUF file.
// Takes a header; must not know where it was read from, or the values of weights.
export { GGUF_ARCHITECTURES } from "./architectures.ts";
export { type GgufModel, type GgufParameter, modelFromGguf, ROPE_FACTORS } from "./config.ts";
export { MetadataReader } from "./metadata-reader.ts";
export { llama3Factors } from "./rope-factors.ts";
export { ggufTensorName, hfTensorName, permutedHeads } from "./tensor-names.ts";
