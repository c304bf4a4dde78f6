// What the WebAssembly module exports; `npm run kernels` compiles it to src/kernels/wasm_kernels.ts.
export { adamw8bit } from "./adamw8bit";
export { dequantizeNf4 } from "./nf4";
export { roundToBf16 } from "./stochastic";
