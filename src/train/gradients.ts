import { gradientPieces, type Parameter } from "../engine/index.ts";

/** Norm of all gradients together; NaN or infinite if any entry is. */
export function globalNorm(parameters: readonly Parameter[]): number {
  let sum = 0;
  for (const { gradient } of parameters) {
    for (const piece of gradientPieces(gradient)) for (let i = 0; i < piece.length; i++) sum += (piece[i] as number) * (piece[i] as number);
  }
  return Math.sqrt(sum);
}

/** Factor that brings gradients of this norm down to `maxNorm`, as torch's clip_grad_norm_ computes it. */
export function clipFactor(norm: number, maxNorm: number | null): number {
  if (maxNorm === null) return 1;
  // torch adds 1e-6 to the norm, so a gradient of exactly the limit shrinks by a millionth.
  return Math.min(1, maxNorm / (norm + 1e-6));
}

/** Whether a gradient has no NaN and no infinity. */
export function hasFiniteGradient({ gradient }: Parameter): boolean {
  return gradientPieces(gradient).every((piece) => piece.every((value) => value - value === 0));
}

/** Whether a tensor has no NaN and no infinity; in bf16 the exponent of those is all ones. */
export function hasFiniteValues({ masterDtype, values }: Parameter): boolean {
  if (masterDtype === "F32") return values.every((value) => value - value === 0);
  return values.every((bits) => (bits & 0x7f80) !== 0x7f80);
}
