import { broadcastShape, evaluateBinary, pair, sumTo } from "../broadcast.ts";
import { applyOne, at, checkDtype } from "../node.ts";
import type { Op, Value } from "../types.ts";
import { mul } from "./mul.ts";
import { scale } from "./scale.ts";

// y = a / b with NumPy's broadcasting; da = dy / b, db = −dy y / b, summed over what was repeated.
export const divOp: Op = Object.freeze<Op>({
  name: "div",
  infer([a, b]) {
    checkDtype("div: a", a as Value, "float32");
    checkDtype("div: b", b as Value, "float32");
    return [{ shape: broadcastShape((a as Value).shape, (b as Value).shape), dtype: "float32" }];
  },
  withoutGradient: [],
  gradient(node, [dy]) {
    const [a, b] = pair(node);
    const g = dy as Value;
    return [sumTo(div(g, b), a.shape), sumTo(scale(div(mul(g, at(node.outputs, 0)), b), -1), b.shape)];
  },
  evaluate: (inputs) => evaluateBinary(inputs, (a, b) => a / b),
  onnx: { opType: "Div" },
  recompute: "cheap",
});

/** `a / b`, broadcast. */
export function div(a: Value, b: Value): Value {
  return applyOne(divOp, [a, b], {});
}
