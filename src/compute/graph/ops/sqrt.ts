import { evaluateUnary } from "../broadcast.ts";
import { applyOne, at, checkDtype } from "../node.ts";
import type { Op, Value } from "../types.ts";
import { div } from "./div.ts";
import { scale } from "./scale.ts";

// y = √x; dx = dy / 2y.
export const sqrtOp: Op = Object.freeze<Op>({
  name: "sqrt",
  infer([x]) {
    checkDtype("sqrt", x as Value, "float32");
    return [x as Value];
  },
  withoutGradient: [],
  gradient(node, [dy]) {
    return [div(scale(dy as Value, 0.5), at(node.outputs, 0))];
  },
  evaluate: (inputs) => evaluateUnary(inputs, (x) => Math.sqrt(x)),
  onnx: { opType: "Sqrt" },
  recompute: "cheap",
});

/** Square root, element by element. */
export function sqrt(x: Value): Value {
  return applyOne(sqrtOp, [x], {});
}
