import { pyFloat } from "../python-float.ts";
import type { ValueToSave } from "../torch-write-values.ts";

/** State of a `LambdaLR`, which all of transformers' schedules are but `reduce_lr_on_plateau`. */
export interface LambdaLrState {
  /** For each group the rate that the schedule multiplies. */
  readonly baseLrs: readonly number[];
  /** For each group the rate that the next update uses. */
  readonly lastLrs: readonly number[];
  /** Updates done. */
  readonly lastEpoch: number;
  /**
   * Whether the schedule is a plain function (`constant` alone is) or a `functools.partial`,
   * whose empty `__dict__` torch saves.
   */
  readonly lambda: "partial" | "function";
}

/**
 * state_dict of `LambdaLR` (torch 2.13) as Trainer saves it in scheduler.pt. It says where
 * the schedule stands, not what it is: its length comes from the new run's arguments.
 */
export function lambdaLrStateDict({ baseLrs, lastLrs, lastEpoch, lambda }: LambdaLrState): ValueToSave {
  return new Map<string, ValueToSave>([
    ["base_lrs", baseLrs.map(pyFloat)],
    ["last_epoch", lastEpoch],
    // Making the schedule counts as a step of its own.
    ["_step_count", lastEpoch + 1],
    ["_is_initial", false],
    ["_get_lr_called_within_step", false],
    ["_last_lr", lastLrs.map(pyFloat)],
    ["lr_lambdas", baseLrs.map(() => (lambda === "partial" ? new Map<string, ValueToSave>() : null))],
  ]);
}
