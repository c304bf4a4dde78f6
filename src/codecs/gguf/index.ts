// codecs/gguf: the blocks of llama.cpp's quantizations as fp32, and Q8_0 back: one file per type.
// Must not know files or what a tensor is for.
export { dequantizeGguf, isReadableGgmlType, READABLE_GGML_TYPES, type ReadableGgmlType } from "./dequantize.ts";
export { quantizeQ8_0 } from "./q8-0.ts";
