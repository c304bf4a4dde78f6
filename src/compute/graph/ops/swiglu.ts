import { applyOne, at, checkDtype, checkShape } from "../node.ts";
import type { Op, ReferenceTensor, Value } from "../types.ts";
import { add } from "./add.ts";
import { mul } from "./mul.ts";
import { sigmoid } from "./sigmoid.ts";
import { sub } from "./sub.ts";

// h = g σ(g) u (Shazeer 2020). With s = σ(g):
//   du = dh (s g),   dg = dh u (s + g s (1 − s)) = dh (h + s (u − h)).
export const swigluOp: Op = Object.freeze<Op>({
  name: "swiglu",
  infer([gate, up]) {
    checkDtype("swiglu: gate", gate as Value, "float32");
    checkDtype("swiglu: up", up as Value, "float32");
    checkShape("swiglu: up", up as Value, (gate as Value).shape);
    return [{ shape: (gate as Value).shape, dtype: "float32" }];
  },
  withoutGradient: [],
  gradient(node, [gradient]) {
    const dh = gradient as Value;
    const [gate, up] = node.inputs as readonly [Value, Value];
    const h = at(node.outputs, 0);
    const s = sigmoid(gate);
    return [mul(dh, add(h, mul(s, sub(up, h)))), mul(dh, mul(s, gate))];
  },
  evaluate(inputs) {
    const [gate, up] = inputs as readonly [ReferenceTensor, ReferenceTensor];
    return [{ shape: gate.shape, data: gate.data.map((g, i) => (g / (1 + Math.exp(-g))) * at(up.data, i)) }];
  },
  onnx: {
    lower(node, emit) {
      const [gate, up] = node.inputs.map((value) => emit.name(value)) as [string, string];
      const [silu] = emit.node("QuickGelu", [gate], 1, { alpha: { float: 1 } }, "com.microsoft") as readonly [string];
      emit.node("Mul", [silu, up], [emit.name(at(node.outputs, 0))]);
    },
  },
  // Kept: computing h again costs 1.2 ms of a 138 ms block; the memory is that of gate or up.
  recompute: "never",
});

/** `silu(gate) · up`, element by element. */
export function swiglu(gate: Value, up: Value): Value {
  return applyOne(swigluOp, [gate, up], {});
}
