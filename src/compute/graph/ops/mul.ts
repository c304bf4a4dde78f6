import { broadcastShape, evaluateBinary, pair, sumTo } from "../broadcast.ts";
import { applyOne, checkDtype } from "../node.ts";
import type { Op, Value } from "../types.ts";

// y = a b with NumPy's broadcasting; da = dy b, db = dy a, summed over what was repeated.
export const mulOp: Op = Object.freeze<Op>({
  name: "mul",
  infer([a, b]) {
    checkDtype("mul: a", a as Value, "float32");
    checkDtype("mul: b", b as Value, "float32");
    return [{ shape: broadcastShape((a as Value).shape, (b as Value).shape), dtype: "float32" }];
  },
  withoutGradient: [],
  gradient(node, [dy]) {
    const [a, b] = pair(node);
    const g = dy as Value;
    return [sumTo(mul(g, b), a.shape), sumTo(mul(g, a), b.shape)];
  },
  evaluate: (inputs) => evaluateBinary(inputs, (a, b) => a * b),
  onnx: { opType: "Mul" },
  recompute: "cheap",
});

/** `a · b`, element by element, broadcast. */
export function mul(a: Value, b: Value): Value {
  return applyOne(mulOp, [a, b], {});
}
