import { applyOne, at, check, checkDtype, checkRank, checkShape, showShape } from "../node.ts";
import type { Op, ReferenceTensor, Value } from "../types.ts";

type RopeAttributes = { readonly inverse: boolean };

// Rotary positions (Su et al. 2021) in the half-split layout of Hugging Face models. For x [B,S,H,d], its halves
// x₁, x₂ and c, s = rows positions[b,t] of cos, sin [P,d/2]:
//   y₁ = x₁ c − x₂ s,   y₂ = x₂ c + x₁ s.
// A rotation, so the derivative is the rotation back: the same with −s (`inverse`).
export const ropeOp: Op<RopeAttributes> = Object.freeze<Op<RopeAttributes>>({
  name: "rope",
  infer([input, positions, cos, sin]) {
    const x = input as Value;
    checkRank("rope: x", x, 4);
    checkDtype("rope: x", x, "float32");
    checkDtype("rope: positions", positions as Value, "int32", "int64");
    checkShape("rope: positions", positions as Value, x.shape.slice(0, 2));
    check(at(x.shape, 3) % 2 === 0, () => `rope needs an even head size, has ${showShape(x.shape)}`);
    checkRank("rope: cos", cos as Value, 2);
    checkShape("rope: cos", cos as Value, [at((cos as Value).shape, 0), at(x.shape, 3) / 2]);
    checkShape("rope: sin", sin as Value, (cos as Value).shape);
    return [{ shape: x.shape, dtype: "float32" }];
  },
  withoutGradient: [1, 2, 3],
  gradient(node, [dy]) {
    const [, positions, cos, sin] = node.inputs as readonly [Value, Value, Value, Value];
    return [rope(dy as Value, positions, cos, sin, { inverse: !node.attributes.inverse }), null, null, null];
  },
  evaluate(inputs, { attributes }) {
    const [x, positions, cos, sin] = inputs as readonly [ReferenceTensor, ReferenceTensor, ReferenceTensor, ReferenceTensor];
    const [heads, width] = [at(x.shape, 2), at(x.shape, 3)];
    const half = width / 2;
    const data = x.data.map((value, i) => {
      const dim = i % width;
      const at0 = at(positions.data, Math.floor(i / (heads * width))) * half + (dim % half);
      const s = at(sin.data, at0) * (attributes.inverse ? -1 : 1);
      return value * at(cos.data, at0) + (dim < half ? -s * at(x.data, i + half) : s * at(x.data, i - half));
    });
    return [{ shape: x.shape, data }];
  },
  onnx: {
    // On rows [B,S,H·d] it takes the heads where they lie; the reshapes are views.
    lower(node, emit) {
      const [x, positions, cos, sin] = node.inputs.map((value) => emit.name(value)) as [string, string, string, string];
      const [batch, length, heads, width] = at(node.inputs, 0).shape as readonly [number, number, number, number];
      const [rows] = emit.node("Reshape", [x, emit.constant([batch, length, heads * width], [3], "int64")], 1) as readonly [string];
      // 7: INT64 in TensorProto, the only type of positions that the kernel takes
      const ids = at(node.inputs, 1).dtype === "int64" ? positions : at(emit.node("Cast", [positions], 1, { to: { int: 7 } }), 0);
      const sines = node.attributes.inverse ? at(emit.node("Neg", [sin], 1), 0) : sin;
      const [rotated] = emit.node("RotaryEmbedding", [rows, ids, cos, sines], 1, {}, "com.microsoft") as readonly [string];
      emit.node("Reshape", [rotated, emit.constant([batch, length, heads, width], [4], "int64")], [emit.name(at(node.outputs, 0))]);
    },
  },
  recompute: "cheap",
});

/**
 * Rotates `x` [B,S,H,d] by its positions [B,S] (int32 or int64) with tables `cos`, `sin` [P,d/2], P at least S and
 * above every position; `inverse` rotates back.
 */
export function rope(x: Value, positions: Value, cos: Value, sin: Value, options: { readonly inverse?: boolean } = {}): Value {
  return applyOne(ropeOp, [x, positions, cos, sin], { inverse: options.inverse ?? false });
}
