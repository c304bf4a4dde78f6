/** How near two lists of logits are, token by token. */
export interface Agreement {
  readonly tokens: number;
  /** Tokens after which both think the same one likeliest. */
  readonly sameBest: number;
  /** Of the reference's distribution from the other's, in nats a token. */
  readonly meanKl: number;
  readonly largestKl: number;
  readonly largestDifference: number;
  readonly largestLogit: number;
}

function argmax(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if ((values[i] as number) > (values[best] as number)) best = i;
  return best;
}

/** Natural logarithms of the probabilities, in float64. */
function logSoftmax(logits: Float32Array): Float64Array {
  const most = logits[argmax(logits)] as number;
  const total = logits.reduce((sum, value) => sum + Math.exp(value - most), 0);
  const shift = most + Math.log(total);
  return Float64Array.from(logits, (value) => value - shift);
}

function divergence(reference: Float32Array, other: Float32Array): number {
  const [p, q] = [logSoftmax(reference), logSoftmax(other)];
  return p.reduce((sum, value, i) => sum + Math.exp(value) * (value - (q[i] as number)), 0);
}

/** Compares rows of logits, one for each token. */
export function agreement(reference: readonly Float32Array[], other: readonly Float32Array[]): Agreement {
  const divergences = reference.map((row, i) => divergence(row, other[i] as Float32Array));
  let [largestDifference, largestLogit, sameBest] = [0, 0, 0];
  reference.forEach((row, i) => {
    const found = other[i] as Float32Array;
    if (argmax(row) === argmax(found)) sameBest++;
    row.forEach((value, t) => {
      largestDifference = Math.max(largestDifference, Math.abs(value - (found[t] as number)));
      largestLogit = Math.max(largestLogit, Math.abs(value));
    });
  });
  return {
    tokens: reference.length,
    sameBest,
    meanKl: divergences.reduce((sum, value) => sum + value, 0) / reference.length,
    largestKl: Math.max(...divergences),
    largestDifference,
    largestLogit,
  };
}
