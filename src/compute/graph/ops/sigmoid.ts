import { evaluateUnary } from "../broadcast.ts";
import { applyOne, at, checkDtype } from "../node.ts";
import type { Op, Value } from "../types.ts";
import { mul } from "./mul.ts";
import { sub } from "./sub.ts";

// y = 1 / (1 + e⁻ˣ); dx = dy y (1 − y) = dy (y − y²).
export const sigmoidOp: Op = Object.freeze<Op>({
  name: "sigmoid",
  infer([x]) {
    checkDtype("sigmoid", x as Value, "float32");
    return [x as Value];
  },
  withoutGradient: [],
  gradient(node, [dy]) {
    const y = at(node.outputs, 0);
    return [mul(dy as Value, sub(y, mul(y, y)))];
  },
  evaluate: (inputs) => evaluateUnary(inputs, (x) => 1 / (1 + Math.exp(-x))),
  onnx: { opType: "Sigmoid" },
  recompute: "cheap",
});

/** Logistic function, element by element. */
export function sigmoid(x: Value): Value {
  return applyOne(sigmoidOp, [x], {});
}
