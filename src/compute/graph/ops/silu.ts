import { evaluateUnary } from "../broadcast.ts";
import { applyOne, at, checkDtype } from "../node.ts";
import type { Op, Value } from "../types.ts";
import { add } from "./add.ts";
import { constant } from "./constant.ts";
import { mul } from "./mul.ts";
import { sigmoid } from "./sigmoid.ts";
import { sub } from "./sub.ts";

// y = x σ(x); dx = dy (σ + y (1 − σ)) = dy (y + σ (1 − y)). QuickGelu with alpha 1 is this function and the only fast kernel for it.
export const siluOp: Op = Object.freeze<Op>({
  name: "silu",
  infer([x]) {
    checkDtype("silu", x as Value, "float32");
    return [x as Value];
  },
  withoutGradient: [],
  gradient(node, [dy]) {
    const y = at(node.outputs, 0);
    const s = sigmoid(at(node.inputs, 0));
    return [mul(dy as Value, add(y, mul(s, sub(constant([1], [1]), y))))];
  },
  evaluate: (inputs) => evaluateUnary(inputs, (x) => x / (1 + Math.exp(-x))),
  onnx: { opType: "QuickGelu", domain: "com.microsoft", attributes: () => ({ alpha: { float: 1 } }) },
  recompute: "cheap",
});

/** SiLU, `x · σ(x)`. */
export function silu(x: Value): Value {
  return applyOne(siluOp, [x], {});
}
