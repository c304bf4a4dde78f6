import { evaluateUnary } from "../broadcast.ts";
import { applyOne, at, checkDtype } from "../node.ts";
import type { Op, Value } from "../types.ts";

type ScaleAttributes = { readonly factor: number };

// y = k x with a constant k; dx = k dy.
export const scaleOp: Op<ScaleAttributes> = Object.freeze<Op<ScaleAttributes>>({
  name: "scale",
  infer([x]) {
    checkDtype("scale", x as Value, "float32");
    return [x as Value];
  },
  withoutGradient: [],
  gradient: (node, [dy]) => [scale(dy as Value, node.attributes.factor)],
  evaluate: (inputs, { attributes }) => evaluateUnary(inputs, (x) => attributes.factor * x),
  onnx: {
    lower(node, emit) {
      const factor = emit.constant([node.attributes.factor], [], "float32");
      emit.node("Mul", [emit.name(at(node.inputs, 0)), factor], [emit.name(at(node.outputs, 0))]);
    },
  },
  recompute: "cheap",
});

/** `factor · x`. */
export function scale(x: Value, factor: number): Value {
  return factor === 1 ? x : applyOne(scaleOp, [x], { factor });
}
