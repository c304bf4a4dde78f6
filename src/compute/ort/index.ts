// compute/ort: runs graphs on onnxruntime-node, the only folder that imports it.
// Owns no tensor memory: callers give the arrays. Knows no op and no model.
export type { CompileOptions, Device, OutputCopy, Program } from "./program.ts";
export { loadRuntime, type Runtime, type RuntimeOptions } from "./runtime.ts";
export { allocateTensor, type TensorData } from "./tensors.ts";
