import { evaluateUnary } from "../broadcast.ts";
import { applyOne, at, checkDtype } from "../node.ts";
import type { Op, Value } from "../types.ts";
import { mul } from "./mul.ts";

// y = eˣ; dx = dy y.
export const expOp: Op = Object.freeze<Op>({
  name: "exp",
  infer([x]) {
    checkDtype("exp", x as Value, "float32");
    return [x as Value];
  },
  withoutGradient: [],
  gradient(node, [dy]) {
    const y = at(node.outputs, 0);
    return [mul(dy as Value, y)];
  },
  evaluate: (inputs) => evaluateUnary(inputs, (x) => Math.exp(x)),
  onnx: { opType: "Exp" },
  recompute: "cheap",
});

/** `eˣ`, element by element. */
export function exp(x: Value): Value {
  return applyOne(expOp, [x], {});
}
