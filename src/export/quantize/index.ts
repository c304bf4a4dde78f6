// export/quantize: a model with its linear layers in NF4, in the layout of bitsandbytes.
// Must not know adapters or the engine.
export type { QuantizeRequest, QuantizeResult } from "./api.ts";
export { quantizeModel } from "./quantize.ts";
