// kernels: loops at which JavaScript is slow, as WebAssembly with 128-bit SIMD (sources: assembly/). Knows addresses
// and lengths in a memory of its own; what the bytes mean, codecs/ knows.
export { Kernels } from "./kernels.ts";
