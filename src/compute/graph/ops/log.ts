import { evaluateUnary } from "../broadcast.ts";
import { applyOne, at, checkDtype } from "../node.ts";
import type { Op, Value } from "../types.ts";
import { div } from "./div.ts";

// y = ln x; dx = dy / x.
export const logOp: Op = Object.freeze<Op>({
  name: "log",
  infer([x]) {
    checkDtype("log", x as Value, "float32");
    return [x as Value];
  },
  withoutGradient: [],
  gradient(node, [dy]) {
    const x = at(node.inputs, 0);
    return [div(dy as Value, x)];
  },
  evaluate: (inputs) => evaluateUnary(inputs, (x) => Math.log(x)),
  onnx: { opType: "Log" },
  recompute: "cheap",
});

/** Natural logarithm, element by element. */
export function log(x: Value): Value {
  return applyOne(logOp, [x], {});
}
