// export/gguf: models, merged adapters and adapters by themselves as files for llama.cpp, in its names and order.
// Knows merging, whose rows it writes as they are made; not the engine.
export { GGUF_TYPES, type GgufRequest, type GgufResult, type GgufType } from "./api.ts";
export { exportGguf } from "./gguf.ts";
