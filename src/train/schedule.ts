import { HeirloomError } from "../core/index.ts";

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

/**
 * Warm-up length in updates: given, or a share of the run rounded up as transformers does.
 * @throws CONFIG_INVALID if it leaves no update with a rate above 0
 */
export function warmupLength(
  steps: number,
  { warmupSteps, warmupRatio }: { readonly warmupSteps: number | null; readonly warmupRatio: number | null },
): number {
  const length = warmupSteps ?? Math.ceil(steps * (warmupRatio ?? 0));
  // Where the number of updates follows from the data, a run file does not show that there is only one.
  if (steps === 1 && length > 0) {
    const key = `training.${warmupSteps === null ? "warmupRatio" : "warmupSteps"}`;
    throw new HeirloomError(
      "CONFIG_INVALID",
      "the data make one update, and the first update of a warm-up has rate 0: nothing would be trained",
      { where: key, hint: `train longer (training.epochs, training.steps), or set ${key} to 0` },
    );
  }
  return length;
}
