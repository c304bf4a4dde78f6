// compute/onnx: writes a graph as an ONNX model. Knows the file format and the
// op records' mappings; knows no op by name, no runtime and no model.
export { type LowerOptions, lowerToOnnx } from "./lower.ts";
