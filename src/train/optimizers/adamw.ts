import type { Parameter } from "../../engine/index.ts";
import type { Optimizer, OptimizerSettings, OptimizerSlot } from "./types.ts";

interface AdamSlot extends OptimizerSlot {
  readonly state: { readonly exp_avg: Float32Array; readonly exp_avg_sq: Float32Array };
}

/**
 * AdamW with decoupled weight decay (Loshchilov & Hutter 2019), the arithmetic
 * of torch.optim.AdamW:
 *
 *     w ← w·(1 − lr·λ);  m ← β₁m + (1−β₁)g;  v ← β₂v + (1−β₂)g²
 *     w ← w − lr/(1−β₁ᵗ) · m / (√v/√(1−β₂ᵗ) + ε)
 *
 * Moments are fp32, named as torch names them; sums within an element are in
 * double precision.
 */
export class AdamW implements Optimizer {
  readonly name = "adamw";
  readonly slots: readonly AdamSlot[];
  readonly #settings: OptimizerSettings;
  step = 0;

  constructor(
    parameters: readonly { readonly parameter: Parameter; readonly group: string; readonly weightDecay: number }[],
    settings: OptimizerSettings,
  ) {
    this.#settings = settings;
    this.slots = parameters.map((entry) => ({
      ...entry,
      state: { exp_avg: new Float32Array(entry.parameter.values.length), exp_avg_sq: new Float32Array(entry.parameter.values.length) },
    }));
  }

  update(rates: ReadonlyMap<string, number>, gradientScale: number): void {
    this.step++;
    const [beta1, beta2] = this.#settings.betas;
    const stepCorrection = 1 - beta1 ** this.step;
    const rootCorrection = Math.sqrt(1 - beta2 ** this.step);
    for (const { parameter, group, weightDecay, state } of this.slots) {
      const rate = rates.get(group) ?? 0;
      const { values, gradient } = parameter;
      const { exp_avg: m, exp_avg_sq: v } = state;
      const decay = 1 - rate * weightDecay;
      const size = rate / stepCorrection;
      const epsilon = this.#settings.epsilon;
      for (let i = 0; i < values.length; i++) {
        const g = (gradient[i] as number) * gradientScale;
        const mean = beta1 * (m[i] as number) + (1 - beta1) * g;
        const square = beta2 * (v[i] as number) + (1 - beta2) * g * g;
        m[i] = mean;
        v[i] = square;
        values[i] = (values[i] as number) * decay - (size * mean) / (Math.sqrt(square) / rootCorrection + epsilon);
      }
    }
  }
}
