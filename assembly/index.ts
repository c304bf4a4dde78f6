// What the WebAssembly module exports; `npm run kernels` compiles it to src/kernels/wasm_kernels.ts.
export { dequantizeNf4 } from "./nf4";
