/** What nearest rounding to bf16 would do to the updates of a full copy. */
export interface Bf16Rounding {
  /** The update that AdamW makes to an element early in training: about the learning rate. */
  readonly update: number;
  /** Weights of this magnitude or more would not move. */
  readonly threshold: number;
  /** Share of the copy's weights above it, if they are normal with `deviation`. */
  readonly lostShare: number;
  /** Standard deviation that the weights are taken to have: the model's `initializer_range`. */
  readonly deviation: number;
}

/** Significant bits of bf16, the hidden one included. */
const BF16_BITS = 8;
/** What the Llama family was initialized with, for configurations that do not say. */
const USUAL_DEVIATION = 0.02;

/** Abramowitz & Stegun 7.1.26: absolute error below 1.5e-7. */
function complementaryErrorFunction(x: number): number {
  const t = 1 / (1 + 0.3275911 * x);
  const polynomial = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return polynomial * Math.exp(-x * x);
}

/**
 * Neighbours of w in bf16 lie 2^(e−7) apart for |w| in [2^e, 2^(e+1)), and an
 * update below half of that is rounded away every time. So with an update u all
 * |w| ≥ 2^⌈log₂(2⁸·u)⌉ stand still. AdamW's step is about the learning rate per
 * element at first, and less later.
 *
 * @param raw the model's config.json
 */
export function bf16Rounding(learningRate: number, raw: Readonly<Record<string, unknown>>): Bf16Rounding {
  const range = raw["initializer_range"];
  const deviation = typeof range === "number" && range > 0 ? range : USUAL_DEVIATION;
  if (learningRate <= 0) return { update: 0, threshold: 0, lostShare: 1, deviation };
  const threshold = 2 ** Math.ceil(Math.log2(learningRate * 2 ** BF16_BITS));
  return { update: learningRate, threshold, lostShare: complementaryErrorFunction(threshold / (deviation * Math.SQRT2)), deviation };
}
