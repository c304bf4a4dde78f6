import type { OptimizerSettings } from "./types.ts";

/** The numbers that an update of AdamW is made with, in the order in which kernels take them. */
export const SCALARS = ["gradientScale", "beta1", "rest1", "beta2", "rest2", "rootScale", "epsilon", "decay", "size"] as const;

/** See {@link adamScalars}. */
export type AdamScalars = Readonly<Record<(typeof SCALARS)[number], number>>;

/**
 * What update `step` (1-based) is made with:
 *
 *     g ← gradientScale·g;  m ← beta1·m + rest1·g;  v ← beta2·v + rest2·g²
 *     w ← decay·w − size·m / (rootScale·√v + epsilon)
 */
export function adamScalars(
  { betas: [beta1, beta2], epsilon }: OptimizerSettings,
  {
    step,
    rate,
    weightDecay,
    gradientScale,
  }: { readonly step: number; readonly rate: number; readonly weightDecay: number; readonly gradientScale: number },
): AdamScalars {
  return {
    gradientScale,
    beta1,
    rest1: 1 - beta1,
    beta2,
    rest2: 1 - beta2,
    rootScale: 1 / Math.sqrt(1 - beta2 ** step),
    epsilon,
    decay: 1 - rate * weightDecay,
    size: rate / (1 - beta1 ** step),
  };
}
