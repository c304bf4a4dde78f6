import type { Parameter } from "../engine/index.ts";

/** Norm of all gradients together; NaN or infinite if any entry is. */
export function globalNorm(parameters: readonly Parameter[]): number {
  let sum = 0;
  for (const { gradient } of parameters) {
    for (let i = 0; i < gradient.length; i++) sum += (gradient[i] as number) * (gradient[i] as number);
  }
  return Math.sqrt(sum);
}

/** Factor that brings gradients of this norm down to `maxNorm`, as torch's clip_grad_norm_ computes it. */
export function clipFactor(norm: number, maxNorm: number | null): number {
  if (maxNorm === null) return 1;
  // torch adds 1e-6 to the norm, so a gradient of exactly the limit shrinks by a millionth.
  return Math.min(1, maxNorm / (norm + 1e-6));
}
