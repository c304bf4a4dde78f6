import { applyOne, at, checkDtype, checkShape } from "../node.ts";
import type { Op, ReferenceTensor, Value } from "../types.ts";

type MaskScaleAttributes = { readonly factor: number };

// y = k m x with a mask m of 0 and 1 and a constant k (dropout: k = 1 / (1 − p)); dx = k m dy.
export const maskScaleOp: Op<MaskScaleAttributes> = Object.freeze<Op<MaskScaleAttributes>>({
  name: "maskScale",
  infer([x, mask]) {
    checkDtype("maskScale: x", x as Value, "float32");
    checkDtype("maskScale: mask", mask as Value, "uint8");
    checkShape("maskScale: mask", mask as Value, (x as Value).shape);
    return [{ shape: (x as Value).shape, dtype: "float32" }];
  },
  withoutGradient: [1],
  gradient: ({ inputs, attributes }, [dy]) => [maskScale(dy as Value, at(inputs, 1), attributes.factor), null],
  evaluate(inputs, { attributes: { factor } }) {
    const [x, mask] = inputs as readonly [ReferenceTensor, ReferenceTensor];
    return [{ shape: x.shape, data: x.data.map((value, i) => factor * at(mask.data, i) * value) }];
  },
  onnx: {
    lower(node, emit) {
      const [x, mask] = node.inputs.map((value) => emit.name(value)) as [string, string];
      const [factors] = emit.node("Cast", [mask], 1, { to: { int: 1 } }) as readonly [string]; // 1: FLOAT in TensorProto
      const [masked] = emit.node("Mul", [x, factors], 1) as readonly [string];
      emit.node("Mul", [masked, emit.constant([node.attributes.factor], [], "float32")], [emit.name(at(node.outputs, 0))]);
    },
  },
  recompute: "cheap",
});

/** `factor · mask · x`: applies a dropout mask (uint8, 0 or 1) of `x`'s shape. */
export function maskScale(x: Value, mask: Value, factor: number): Value {
  return applyOne(maskScaleOp, [x, mask], { factor });
}
