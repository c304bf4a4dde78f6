import type { ModelSpec } from "./model-spec.ts";

const f32 = Math.fround;

/**
 * Inverse rotary frequencies `[headDim / 2]` after scaling. Every step is rounded
 * to float32 as transformers' `modeling_rope_utils` computes it: at position
 * 100,000 the last bit of a frequency is already visible in the logits.
 */
export function ropeFrequencies(spec: Pick<ModelSpec, "rope" | "headDim">): Float64Array {
  const { rope, headDim } = spec;
  const frequencies = Float64Array.from({ length: headDim / 2 }, (_, i) => f32(1 / f32(rope.theta ** f32((2 * i) / headDim))));
  const { scaling } = rope;
  switch (scaling.kind) {
    case "none":
      return frequencies;
    case "linear":
      return frequencies.map((frequency) => f32(frequency / scaling.factor));
    case "llama3": {
      const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalMaxPositions } = scaling;
      return frequencies.map((frequency) => {
        const wavelength = f32((2 * Math.PI) / frequency);
        if (wavelength < originalMaxPositions / high) return frequency;
        if (wavelength > originalMaxPositions / low) return f32(frequency / factor);
        const smooth = f32(f32(f32(originalMaxPositions / wavelength) - low) / (high - low));
        return f32(f32(f32(f32(1 - smooth) * frequency) / factor) + f32(smooth * frequency));
      });
    }
  }
}

/** The factor on cos and sin after the rotation's scaling: 1 for every kind supported. */
export function ropeAttentionFactor(_spec: Pick<ModelSpec, "rope">): number {
  return 1;
}
