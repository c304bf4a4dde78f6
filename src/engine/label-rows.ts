import { type MicroBatch, NO_LABEL } from "../data/index.ts";

/** The positions that predict a labelled token, and what they predict. */
export interface LabelRows {
  /** Row indices into [B·S], ascending. */
  readonly rows: Int32Array;
  /** Token id that each of those rows has to predict. */
  readonly targets: Int32Array;
}

/**
 * Shifts the labels by one: position s predicts the label at s + 1 where both
 * belong to the same packed row. The first token of a packed row is predicted
 * by nothing, so rows packed together never see each other.
 */
export function labelRows(batch: MicroBatch): LabelRows {
  const rows: number[] = [];
  const targets: number[] = [];
  for (let b = 0; b < batch.batch; b++) {
    for (let s = 0; s + 1 < batch.sequence; s++) {
      const at = b * batch.sequence + s;
      const target = batch.labels[at + 1] as number;
      const segment = batch.segments[at] as number;
      if (target === NO_LABEL || segment === 0 || segment !== batch.segments[at + 1]) continue;
      rows.push(at);
      targets.push(target);
    }
  }
  return { rows: Int32Array.from(rows), targets: Int32Array.from(targets) };
}
