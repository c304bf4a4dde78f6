import { compareRuns, type FactDifference } from "./compare.ts";

/** Whether a run that was repeated from its record came out the same. */
export interface Repetition {
  /** Id of the run that was repeated. */
  readonly of: string;
  /** Losses of all updates, held-out losses and the final adapter are the same in every bit. */
  readonly identical: boolean;
  /** Updates of which both runs have a loss. */
  readonly compared: number;
  /** The first update whose losses differ, or that only one run has. */
  readonly firstDifference: { readonly step: number; readonly before: number | null; readonly now: number | null } | null;
  /** Held-out sets whose first or last loss differs. */
  readonly evaluations: readonly string[];
  /** Files of the final adapter that differ; null if the run that was repeated made none. */
  readonly output: readonly string[] | null;
  /** What was changed when the run was resumed: a repetition goes all the way as the run began. */
  readonly changes: readonly FactDifference[];
  /** Inputs that are not what they were, by name. */
  readonly inputs: readonly FactDifference[];
  /** Threads, processor, versions that are not what they were: any of them may change bits. */
  readonly environment: readonly FactDifference[];
}

/**
 * Compares a run with one that repeats it. Of the configurations that they began
 * with only `output` may differ; what the first had otherwise later is named.
 */
export async function judgeRepetition(before: string, now: string): Promise<Repetition> {
  const { a, losses, firstDifference, evaluations, output, changes, inputs, environment } = await compareRuns(before, now);
  const row = losses.find(({ step }) => step === firstDifference);
  const differing = evaluations.filter((pair) => JSON.stringify(pair.a) !== JSON.stringify(pair.b)).map(({ dataset }) => dataset);
  return {
    of: a.id,
    identical: row === undefined && differing.length === 0 && output?.length === 0,
    compared: losses.filter((pair) => pair.a !== null && pair.b !== null).length,
    firstDifference: row === undefined ? null : { step: row.step, before: row.a, now: row.b },
    evaluations: differing,
    output,
    changes,
    inputs,
    environment,
  };
}
