import { adamScalars } from "./adam-step.ts";
import { GraphAdam } from "./graph-adam.ts";
import type { Compile, Optimizer, OptimizerSettings, OptimizerSlot, OptimizerTarget, StorePiece } from "./types.ts";

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
 * Moments are fp32, named as torch names them; every operation is rounded to fp32, as torch's are.
 */
export class AdamW implements Optimizer {
  readonly name = "adamw";
  readonly slots: readonly AdamSlot[];
  readonly #settings: OptimizerSettings;
  readonly #pieces: GraphAdam;
  step = 0;

  constructor(targets: readonly OptimizerTarget[], settings: OptimizerSettings, compile: Compile) {
    this.#settings = settings;
    this.#pieces = new GraphAdam(compile);
    this.slots = targets.map((target) => {
      const { length } = target.parameter.values;
      return { ...target, state: { exp_avg: new Float32Array(length), exp_avg_sq: new Float32Array(length) } };
    });
  }

  async update(rates: ReadonlyMap<string, number>, gradientScale: number, store: StorePiece): Promise<void> {
    this.step++;
    for (const { parameter, group, weightDecay, state } of this.slots) {
      const scalars = adamScalars(this.#settings, { step: this.step, rate: rates.get(group) ?? 0, weightDecay, gradientScale });
      await this.#pieces.update(parameter, { mean: state.exp_avg, square: state.exp_avg_sq }, scalars, store);
    }
  }
}
