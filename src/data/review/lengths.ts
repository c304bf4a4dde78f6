/** Bars of a histogram; more would not fit beside their numbers on a terminal. */
const MAX_BARS = 12;

/** How long rows are, in tokens. */
export interface LengthSummary {
  readonly rows: number;
  readonly min: number;
  readonly median: number;
  readonly p95: number;
  readonly max: number;
  /** Rows of at least `from` and at most `to` tokens. */
  readonly histogram: readonly { readonly from: number; readonly to: number; readonly rows: number }[];
}

/** A round width (1, 2 or 5 times a power of ten) with which no more than {@link MAX_BARS} bars reach `max`. */
function widthFor(max: number): number {
  for (let power = 1; ; power *= 10) for (const step of [1, 2, 5]) if (max / (step * power) < MAX_BARS) return step * power;
}

/** Summarizes lengths; null without any. */
export function summarizeLengths(lengths: readonly number[]): LengthSummary | null {
  if (lengths.length === 0) return null;
  const sorted = Uint32Array.from(lengths).sort();
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] as number;
  const max = at(1);
  const width = widthFor(max);
  const histogram = Array.from({ length: Math.floor(max / width) + 1 }, (_, i) => ({ from: i * width, to: (i + 1) * width - 1, rows: 0 }));
  for (const length of sorted) {
    const bar = histogram[Math.floor(length / width)];
    if (bar !== undefined) bar.rows++;
  }
  return { rows: sorted.length, min: at(0), median: at(0.5), p95: at(0.95), max, histogram };
}
