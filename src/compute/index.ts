// compute: tensors as expressions (graph), their meaning in float64 (reference), as ONNX (onnx), and run by
// onnxruntime-node (ort). Knows no model, no adapter and no training; owns no tensor memory.
export * from "./graph/index.ts";
export * from "./onnx/index.ts";
export * from "./ort/index.ts";
export * from "./reference/index.ts";
