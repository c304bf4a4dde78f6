// How far an fp32 implementation may be from the vectors: the section "Tolerances" of the
// vectors' README, about ten times what fp32 differs from fp64 there.
export const TOLERANCES = {
  /** Absolute, per logit. */
  logits: 5e-5,
  /** Absolute, mean loss of one batch. */
  loss: 1e-5,
  /** Share of the tensor's largest gradient. Adam's first moment is a mean of gradients, its second one of their squares. */
  gradient: 3e-5,
  /** Absolute, losses of a training run. */
  trainingLoss: 2e-5,
  /** Share of the norm. The README measures 1.3e-6 on norms of 4 and gives no figure of its own; this is that of the losses, on a norm of 1. */
  gradientNorm: 2e-5,
  learningRate: 1e-12,
  /** Absolute, LoRA matrices after training. */
  lora: 1e-5,
  /** Absolute, full copies after training: where gradients are near zero, Adam enlarges rounding. */
  fullCopy: 1e-4,
  /** Units in the last place of the mean of the scales ("1 ulp or so": the order of summation is torch's own). */
  offsetUlps: 2,
  /** Restored scales, as a share of nested_absmax. */
  restoredAbsmax: 1e-6,
  /** Merged weights, as a share of the tensor's largest: PEFT sums at most 64 products and adds them to the weight in fp32, each within 2^-24. */
  merged: 64 * 2 ** -24,
  exact: 0,
} as const;
