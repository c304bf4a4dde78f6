import { broadcastShape, evaluateBinary, pair, sumTo } from "../broadcast.ts";
import { applyOne, checkDtype } from "../node.ts";
import type { Op, Value } from "../types.ts";
import { scale } from "./scale.ts";

// y = a − b with NumPy's broadcasting; da = dy, db = −dy, summed over what was repeated.
export const subOp: Op = Object.freeze<Op>({
  name: "sub",
  infer([a, b]) {
    checkDtype("sub: a", a as Value, "float32");
    checkDtype("sub: b", b as Value, "float32");
    return [{ shape: broadcastShape((a as Value).shape, (b as Value).shape), dtype: "float32" }];
  },
  withoutGradient: [],
  gradient(node, [dy]) {
    const [a, b] = pair(node);
    const g = dy as Value;
    return [sumTo(g, a.shape), sumTo(scale(g, -1), b.shape)];
  },
  evaluate: (inputs) => evaluateBinary(inputs, (a, b) => a - b),
  onnx: { opType: "Sub" },
  recompute: "cheap",
});

/** `a − b`, broadcast. */
export function sub(a: Value, b: Value): Value {
  return applyOne(subOp, [a, b], {});
}
