import { sumTo } from "../broadcast.ts";
import { apply, at, checkDtype, checkShape } from "../node.ts";
import type { Op, ReferenceTensor, Value } from "../types.ts";
import { mul } from "./mul.ts";
import { reduceSum } from "./reduce-sum.ts";
import { scale } from "./scale.ts";
import { sub } from "./sub.ts";

type RmsNormAttributes = { readonly epsilon: number };

// Over the last axis of length D: r = (Σ x² / D + ε)^−½, y = x r w (Zhang & Sennrich 2019).
// With t = dy w and, since y = x r w, m = Σ dy y / D = r Σ t x / D:
//   dx = r t − x r³ Σ t x / D = (t − x (m r)) r,   dw = Σ_rows dy x r.
// r is the second output because the derivative needs it.
export const rmsNormOp: Op<RmsNormAttributes> = Object.freeze<Op<RmsNormAttributes>>({
  name: "rmsNorm",
  infer([input, weight]) {
    const x = input as Value;
    checkDtype("rmsNorm: x", x, "float32");
    checkShape("rmsNorm: weight", weight as Value, [at(x.shape, x.shape.length - 1)]);
    return [
      { shape: x.shape, dtype: "float32" },
      { shape: [...x.shape.slice(0, -1), 1], dtype: "float32" },
    ];
  },
  withoutGradient: [],
  auxiliaryOutputs: [1],
  gradient(node, [gradient]) {
    const dy = gradient as Value;
    const [x, weight] = node.inputs as readonly [Value, Value];
    const [y, rstd] = node.outputs as readonly [Value, Value];
    const last = x.shape.length - 1;
    const mean = scale(reduceSum(mul(dy, y), [last], true), 1 / at(x.shape, last));
    const dx = mul(sub(mul(dy, weight), mul(x, mul(mean, rstd))), rstd);
    return [dx, sumTo(mul(dy, mul(x, rstd)), weight.shape)];
  },
  evaluate(inputs, { attributes: { epsilon } }) {
    const [x, weight] = inputs as readonly [ReferenceTensor, ReferenceTensor];
    const width = weight.data.length;
    const rstd = new Float64Array(x.data.length / width);
    for (let row = 0; row < rstd.length; row++) {
      const squares = x.data.subarray(row * width, (row + 1) * width).reduce((sum, value) => sum + value * value, 0);
      rstd[row] = 1 / Math.sqrt(squares / width + epsilon);
    }
    const data = x.data.map((value, i) => value * at(rstd, Math.floor(i / width)) * at(weight.data, i % width));
    return [
      { shape: x.shape, data },
      { shape: [...x.shape.slice(0, -1), 1], data: rstd },
    ];
  },
  // In onnxruntime this contrib op lies in the standard domain; 0.26 ms against 0.52 for the primitives.
  onnx: {
    opType: "SimplifiedLayerNormalization",
    attributes: (node) => ({ axis: { int: -1 }, epsilon: { float: node.attributes.epsilon }, stash_type: { int: 1 } }),
  },
  recompute: "never",
});

/** RMS normalization of the last axis of `x` [...,D] with `weight` [D] → `[y, rstd]`, rstd [...,1] = 1/rms. */
export function rmsNorm(x: Value, weight: Value, epsilon: number): readonly [Value, Value] {
  return apply(rmsNormOp, [x, weight], { epsilon }) as readonly [Value, Value];
}
