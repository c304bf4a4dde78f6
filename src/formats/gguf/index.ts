// formats/gguf: llama.cpp's container, both ways: header, typed metadata, where tensors lie.
// Must not know Node, the values in the blocks (codecs/gguf) or what the metadata mean (export/import).
export { encodeGguf, type GgufPlan, type GgufToWrite, planGguf, type TensorToPlan } from "./encode.ts";
export { GGML_TYPES, type GgmlType, ggmlBytes } from "./ggml-types.ts";
export { type GgufHeader, isGguf, readGgufHeader } from "./header.ts";
export type { GgufTensor } from "./tensor-infos.ts";
export type { GgufArray, GgufMetadata, GgufValue, GgufValueType } from "./values.ts";
