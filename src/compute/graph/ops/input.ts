import { applyOne, check } from "../node.ts";
import type { Dtype, Op, Shape, Value } from "../types.ts";

type InputAttributes = { readonly name: string; readonly shape: Shape; readonly dtype: string };

// A tensor that is fed by name.
export const inputOp: Op<InputAttributes> = Object.freeze<Op<InputAttributes>>({
  name: "input",
  infer: (_, { shape, dtype }) => [{ shape, dtype: dtype as Dtype }],
  withoutGradient: "all",
  evaluate: (inputs) => inputs,
  onnx: "none",
  recompute: "always",
});

/** A tensor that whoever runs the graph feeds under `name`. */
export function input(name: string, shape: Shape, dtype: Dtype = "float32"): Value {
  check(name !== "", () => "an input needs a name");
  check(
    shape.every((length) => Number.isInteger(length) && length > 0),
    () => `input ${name} has shape [${shape.join(",")}]`,
  );
  return applyOne(inputOp, [], { name, shape, dtype });
}
