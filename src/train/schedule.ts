/** Shape of the learning rate over a run. */
export type ScheduleName = "linear" | "cosine" | "constant";

/** A schedule's factor on the peak rate from the share of the post-warm-up run that is done (0 … 1). */
const DECAYS: Readonly<Record<ScheduleName, (progress: number) => number>> = {
  linear: (progress) => Math.max(0, 1 - progress),
  cosine: (progress) => Math.max(0, 0.5 * (1 + Math.cos(Math.PI * progress))),
  constant: () => 1,
};

/** What a schedule is computed from. */
export interface SchedulePlan {
  readonly name: ScheduleName;
  /** Updates in the whole run. */
  readonly steps: number;
  readonly warmupSteps: number;
}

/**
 * Factor on the peak rate for update `step` (1-based), as transformers'
 * get_linear_schedule_with_warmup and its siblings count: the first update of a
 * warm-up has rate 0.
 */
export function scheduleFactor({ name, steps, warmupSteps }: SchedulePlan, step: number): number {
  const done = step - 1;
  if (done < warmupSteps) return done / Math.max(1, warmupSteps);
  return DECAYS[name]((done - warmupSteps) / Math.max(1, steps - warmupSteps));
}

/** Warm-up length in updates: given, or a share of the run rounded up as transformers does. */
export function warmupLength(
  steps: number,
  { warmupSteps, warmupRatio }: { readonly warmupSteps: number | null; readonly warmupRatio: number | null },
): number {
  return warmupSteps ?? Math.ceil(steps * (warmupRatio ?? 0));
}
