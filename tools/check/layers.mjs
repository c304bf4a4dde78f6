// The import order of src/ as data: a folder may import those after it, never those before it.
// Read by .dependency-cruiser.mjs and by the gates that speak of folders.

/** Top to bottom (DESIGN, architecture). */
export const LAYERS = [
  "cli",
  "server",
  "train",
  "generate",
  "export",
  "engine",
  "compute",
  "audit",
  "folders",
  "runs",
  "data",
  "ledger",
  "adapter",
  "model",
  "config",
  "codecs",
  "formats",
  "kernels",
  "core",
];

/** The half that runs no model: it never reaches the heavy runtime. */
export const LIGHT = LAYERS.slice(LAYERS.indexOf("audit"));

/** Also run in a browser, so no Node imports; paths under src/. */
export const BROWSER = [
  "audit/explain/",
  "ledger",
  "adapter",
  "model",
  "config",
  "codecs",
  "formats",
  "kernels",
  "core/(?!node/)",
  "compute/graph",
  "compute/reference",
  "compute/onnx",
];
