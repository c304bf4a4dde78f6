import { applyOne, at, check, checkDtype, checkRank, checkShape, showShape } from "../node.ts";
import type { Op, ReferenceTensor, Value } from "../types.ts";

type RopeAttributes = { readonly inverse: boolean };

// Rotary positions (Su et al. 2021) in the half-split layout of Hugging Face models. For x [B,S,H,d], its halves
// x₁, x₂ and c, s = row b·S + t of cos, sin [B·S,d/2], those of the token's position:
//   y₁ = x₁ c − x₂ s,   y₂ = x₂ c + x₁ s.
// A rotation (times a factor, if cos and sin carry one), so dx is dy under the same with −s: `inverse`.
export const ropeOp: Op<RopeAttributes> = Object.freeze<Op<RopeAttributes>>({
  name: "rope",
  infer([input, cos, sin]) {
    const x = input as Value;
    checkRank("rope: x", x, 4);
    for (const [name, value] of [
      ["x", x],
      ["cos", cos as Value],
      ["sin", sin as Value],
    ] as const)
      checkDtype(`rope: ${name}`, value, "float32");
    const [batch, length, , width] = x.shape as readonly [number, number, number, number];
    check(width % 2 === 0, () => `rope needs an even head size, has ${showShape(x.shape)}`);
    checkShape("rope: cos", cos as Value, [batch * length, width / 2]);
    checkShape("rope: sin", sin as Value, [batch * length, width / 2]);
    return [{ shape: x.shape, dtype: "float32" }];
  },
  withoutGradient: [1, 2],
  gradient(node, [dy]) {
    const [, cos, sin] = node.inputs as readonly [Value, Value, Value];
    return [rope(dy as Value, cos, sin, { inverse: !node.attributes.inverse }), null, null];
  },
  evaluate(inputs, { attributes }) {
    const [x, cos, sin] = inputs as readonly [ReferenceTensor, ReferenceTensor, ReferenceTensor];
    const [heads, width] = [at(x.shape, 2), at(x.shape, 3)];
    const half = width / 2;
    const data = x.data.map((value, i) => {
      const dim = i % width;
      const angle = Math.floor(i / (heads * width)) * half + (dim % half);
      const s = at(sin.data, angle) * (attributes.inverse ? -1 : 1);
      return value * at(cos.data, angle) + (dim < half ? -s * at(x.data, i + half) : s * at(x.data, i - half));
    });
    return [{ shape: x.shape, data }];
  },
  onnx: {
    // On rows [B,S,H·d] it takes the heads where they lie; the reshapes are views. Each token has a table row of its own.
    lower(node, emit) {
      const [x, cos, sin] = node.inputs.map((value) => emit.name(value)) as [string, string, string];
      const [batch, length, heads, width] = at(node.inputs, 0).shape as readonly [number, number, number, number];
      const [rows] = emit.node("Reshape", [x, emit.constant([batch, length, heads * width], [3], "int64")], 1) as readonly [string];
      const tokens = emit.constant(
        Array.from({ length: batch * length }, (_, token) => token),
        [batch, length],
        "int64",
      );
      const sines = node.attributes.inverse ? at(emit.node("Neg", [sin], 1), 0) : sin;
      const [rotated] = emit.node("RotaryEmbedding", [rows, tokens, cos, sines], 1, {}, "com.microsoft") as readonly [string];
      emit.node("Reshape", [rotated, emit.constant([batch, length, heads, width], [4], "int64")], [emit.name(at(node.outputs, 0))]);
    },
  },
  recompute: "cheap",
});

/** Rotates the heads of `x` [B,S,H,d] by `cos`, `sin` [B·S,d/2], a row per token; `inverse` rotates back. */
export function rope(x: Value, cos: Value, sin: Value, options: { readonly inverse?: boolean } = {}): Value {
  return applyOne(ropeOp, [x, cos, sin], { inverse: options.inverse ?? false });
}
