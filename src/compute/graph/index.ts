// compute/graph: expressions over tensors as frozen values, their ops (one file each: shape rule, gradient rule,
// reference, ONNX mapping), reverse-mode gradients, and how a computation is divided for a backward pass. Knows no
// runtime, no files and no models.

export { fuseAddIntoGemm } from "./fuse.ts";
export { gradients } from "./gradients.ts";
export { countFlops, graph, printGraph, useCounts } from "./graph.ts";
export { elementCount, sameShape, showShape } from "./node.ts";
export { add } from "./ops/add.ts";
export { attention } from "./ops/attention.ts";
export { attentionGrad } from "./ops/attention-grad.ts";
export { type CachedKeys, cachedAttention } from "./ops/cached-attention.ts";
export { concat } from "./ops/concat.ts";
export { constant } from "./ops/constant.ts";
export { type CrossEntropyRows, crossEntropyGrad } from "./ops/cross-entropy-grad.ts";
export { div } from "./ops/div.ts";
export { exp } from "./ops/exp.ts";
export { expand, zeros } from "./ops/expand.ts";
export { gather } from "./ops/gather.ts";
export { type GemmOptions, gemm } from "./ops/gemm.ts";
export { OPS } from "./ops/index.ts";
export { input } from "./ops/input.ts";
export { log } from "./ops/log.ts";
export { maskScale } from "./ops/mask-scale.ts";
export { type MatmulOptions, matmul } from "./ops/matmul.ts";
export { mul } from "./ops/mul.ts";
export { pad } from "./ops/pad.ts";
export { reduceSum } from "./ops/reduce-sum.ts";
export { reshape } from "./ops/reshape.ts";
export { rmsNorm } from "./ops/rms-norm.ts";
export { rope } from "./ops/rope.ts";
export { scale } from "./ops/scale.ts";
export { sigmoid } from "./ops/sigmoid.ts";
export { silu } from "./ops/silu.ts";
export { slice } from "./ops/slice.ts";
export { softmaxSums } from "./ops/softmax-sums.ts";
export { split } from "./ops/split.ts";
export { sqrt } from "./ops/sqrt.ts";
export { sub } from "./ops/sub.ts";
export { swiglu } from "./ops/swiglu.ts";
export { transpose } from "./ops/transpose.ts";
export { type ForwardAndBackward, splitForBackward } from "./split-for-backward.ts";
export type * from "./types.ts";
