import { broadcastShape, evaluateBinary, pair, sumTo } from "../broadcast.ts";
import { applyOne, checkDtype } from "../node.ts";
import type { Op, Value } from "../types.ts";

// y = a + b with NumPy's broadcasting; da = dy, db = dy, summed over what was repeated.
export const addOp: Op = Object.freeze<Op>({
  name: "add",
  infer([a, b]) {
    checkDtype("add: a", a as Value, "float32");
    checkDtype("add: b", b as Value, "float32");
    return [{ shape: broadcastShape((a as Value).shape, (b as Value).shape), dtype: "float32" }];
  },
  withoutGradient: [],
  gradient(node, [dy]) {
    const [a, b] = pair(node);
    const g = dy as Value;
    return [sumTo(g, a.shape), sumTo(g, b.shape)];
  },
  evaluate: (inputs) => evaluateBinary(inputs, (a, b) => a + b),
  onnx: { opType: "Add" },
  recompute: "cheap",
});

/** `a + b`, broadcast. */
export function add(a: Value, b: Value): Value {
  return applyOne(addOp, [a, b], {});
}
