/** Scaling of the rotation as Llama 3.1 has it. */
export interface Llama3Scaling {
  readonly factor: number;
  readonly lowFrequencyFactor: number;
  readonly highFrequencyFactor: number;
  readonly originalMaxPositions: number;
}

/** Every Llama 3.1, 3.2 and 3.3 has these; the file holds only what follows from them. */
const KNOWN = { lowFrequencyFactor: 1, highFrequencyFactor: 4, originalMaxPositions: 8192 };
/** The converter computes in fp32 or fp64, by version: a few units in the last place of fp32. */
const TOLERANCE = 1e-5;

/** By how much the frequency of each pair of dimensions is divided. */
export function llama3Factors(scaling: Llama3Scaling, theta: number, headDim: number): number[] {
  const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalMaxPositions } = scaling;
  return Array.from({ length: headDim / 2 }, (_, i) => {
    const wavelength = 2 * Math.PI * theta ** ((2 * i) / headDim);
    if (wavelength < originalMaxPositions / high) return 1;
    if (wavelength > originalMaxPositions / low) return factor;
    const smooth = (originalMaxPositions / wavelength - low) / (high - low);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}

/**
 * The Llama 3.1 scaling that the tensor `rope_freqs.weight` follows from; null if
 * it is another one than the models of that family have.
 */
export function recoverLlama3(factors: ArrayLike<number>, theta: number, headDim: number): Llama3Scaling | null {
  const largest = factors[factors.length - 1];
  if (largest === undefined || factors.length !== headDim / 2) return null;
  const scaling = { ...KNOWN, factor: largest };
  const expected = llama3Factors(scaling, theta, headDim);
  return expected.every((value, i) => Math.abs((factors[i] as number) - value) <= TOLERANCE * value) ? scaling : null;
}
