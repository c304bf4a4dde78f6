// export/convert: adapters of PEFT as adapters of mlx-lm and back, no number changed.
// Must not know the engine; of a model only its configuration.
export { ADAPTER_FORMATS, type AdapterFormat, type ConvertRequest, type ConvertResult } from "./api.ts";
export { convertAdapter } from "./convert.ts";
