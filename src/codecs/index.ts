// codecs: numbers in bytes (bf16, fp16, fp32, fp64, NF4, GGUF blocks), rounding, quantization.
// Knows how values are encoded; must not know Node, files, models or training.
export { decodeToF32, encodeFromF32, type FloatDtype, firstNotFinite, isFloatDtype } from "./decode.ts";
export { type DynamicType, dynamicType } from "./dynamic-8bit.ts";
export { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from "./float16.ts";
export * from "./gguf/index.ts";
export { dequantizeNf4, dequantizeNf4Blocks, Nf4Dequantizer, type PackedNf4 } from "./nf4-dequantize.ts";
export { type Nf4Tensor, type QuantizeNf4Options, quantizeNf4 } from "./nf4-quantize.ts";
export { quantizeScales } from "./nf4-scales.ts";
export { f32ToBf16Stochastic, type RoundingKey } from "./stochastic.ts";
