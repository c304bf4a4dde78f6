import type { Op, OpName } from "../types.ts";
import { addOp } from "./add.ts";
import { attentionOp } from "./attention.ts";
import { attentionGradOp } from "./attention-grad.ts";
import { cachedAttentionOp } from "./cached-attention.ts";
import { concatOp } from "./concat.ts";
import { constantOp } from "./constant.ts";
import { crossEntropyGradOp } from "./cross-entropy-grad.ts";
import { divOp } from "./div.ts";
import { expOp } from "./exp.ts";
import { expandOp } from "./expand.ts";
import { gatherOp } from "./gather.ts";
import { gemmOp } from "./gemm.ts";
import { inputOp } from "./input.ts";
import { logOp } from "./log.ts";
import { maskScaleOp } from "./mask-scale.ts";
import { matmulOp } from "./matmul.ts";
import { mulOp } from "./mul.ts";
import { padOp } from "./pad.ts";
import { reduceSumOp } from "./reduce-sum.ts";
import { reshapeOp } from "./reshape.ts";
import { rmsNormOp } from "./rms-norm.ts";
import { ropeOp } from "./rope.ts";
import { scaleOp } from "./scale.ts";
import { sigmoidOp } from "./sigmoid.ts";
import { siluOp } from "./silu.ts";
import { sliceOp } from "./slice.ts";
import { softmaxSumsOp } from "./softmax-sums.ts";
import { splitOp } from "./split.ts";
import { sqrtOp } from "./sqrt.ts";
import { subOp } from "./sub.ts";
import { swigluOp } from "./swiglu.ts";
import { transposeOp } from "./transpose.ts";

/** Every op by its name. To add one: a file beside this one, a name in `OpName`, a line here. */
export const OPS: Readonly<Record<OpName, Op>> = Object.freeze({
  add: addOp,
  attentionGrad: attentionGradOp,
  attention: attentionOp,
  cachedAttention: cachedAttentionOp,
  concat: concatOp,
  constant: constantOp,
  crossEntropyGrad: crossEntropyGradOp,
  softmaxSums: softmaxSumsOp,
  div: divOp,
  exp: expOp,
  expand: expandOp,
  gather: gatherOp,
  gemm: gemmOp,
  input: inputOp,
  log: logOp,
  sqrt: sqrtOp,
  maskScale: maskScaleOp,
  matmul: matmulOp,
  mul: mulOp,
  pad: padOp,
  reduceSum: reduceSumOp,
  reshape: reshapeOp,
  rmsNorm: rmsNormOp,
  rope: ropeOp,
  scale: scaleOp,
  sigmoid: sigmoidOp,
  silu: siluOp,
  slice: sliceOp,
  split: splitOp,
  sub: subOp,
  swiglu: swigluOp,
  transpose: transposeOp,
});
