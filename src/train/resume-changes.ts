import { asRunFile, type FlagValue, type LearningRateGroup, learningRateGroups, type RunConfig, resolveConfig } from "../config/index.ts";
import { ProblemList } from "../core/index.ts";
import type { CheckpointState } from "./checkpoint/index.ts";
import { type SchedulePlan, scheduleFactor, warmupLength } from "./schedule.ts";

/** What a resumed run may have otherwise, if it is named: how far and how fast it goes, not what it is or learns from. */
const CHANGEABLE: readonly string[] = [
  "training.steps",
  "training.epochs",
  "training.learningRate",
  "training.schedule",
  "training.warmupSteps",
  "training.warmupRatio",
  "training.maxGradNorm",
  "evaluation.everySteps",
  "evaluation.batchSize",
  "evaluation.gates",
  "evaluation.earlyStopping",
  "evaluation.answers",
  "evaluation.samplePrompts",
  "checkpoints",
  "engine",
];

const isChangeable = (key: string): boolean => CHANGEABLE.some((allowed) => key === allowed || key.startsWith(`${allowed}.`));

/**
 * The configuration that a run goes on with.
 *
 * @param changes values by dotted key of run.yaml, as `--change training.steps=200` names them
 * @throws RESUME_CHANGED for keys that make another run, all at once; CONFIG_INVALID, CONFIG_UNKNOWN_KEY
 */
export function changedConfig(config: RunConfig, changes: readonly FlagValue[]): RunConfig {
  if (changes.length === 0) return config;
  // First, so that a mistyped key is told as such.
  const changed = resolveConfig({ flags: changes, inherited: { name: "the run's own configuration", values: asRunFile(config) } }).config;
  const problems = new ProblemList();
  for (const { key, flag } of changes.filter((change) => !isChangeable(change.key))) {
    problems.add("RESUME_CHANGED", `${key} cannot change while a run goes on: it would be another run`, {
      where: flag,
      hint: `changeable are ${CHANGEABLE.join(", ")}; to train on otherwise, start from what there is: heirloom continue`,
    });
  }
  problems.throwIfAny();
  return changed;
}

function planOf({ training }: RunConfig, steps: number): SchedulePlan {
  return { name: training.schedule, steps, warmupSteps: warmupLength(steps, training) };
}

function described({ name, steps, warmupSteps }: SchedulePlan): string {
  return `${name} over ${steps} updates${warmupSteps === 0 ? "" : ` with ${warmupSteps} of warm-up`}`;
}

const shown = (rate: number): string => String(Number(rate.toPrecision(4)));

/** A run's configuration and its number of updates. */
export interface Course {
  readonly config: RunConfig;
  readonly steps: number;
}

/** What changed configurations make of the learning rates from the next update on, in words; empty if nothing. */
export function scheduleNotes(before: Course, now: Course, step: number): string[] {
  const [old, next] = [planOf(before.config, before.steps), planOf(now.config, now.steps)];
  const rateOf = (course: Course, plan: SchedulePlan): number => course.config.training.learningRate * scheduleFactor(plan, step + 1);
  const [was, is] = [rateOf(before, old), rateOf(now, next)];
  if (described(old) === described(next) && was === is) return [];
  const groups = learningRateGroups(now.config.training).map(({ name, learningRate }: LearningRateGroup) => {
    return `${name} ${shown(learningRate * scheduleFactor(next, step + 1))}`;
  });
  return [
    `the schedule is now ${described(next)}, before it was ${described(old)}: update ${step + 1} has rate ${shown(is)}${groups.length === 0 ? "" : ` (${groups.join(", ")})`} instead of ${shown(was)}`,
  ];
}

/** What can change the last bits of a result, and is not now what it was. */
export function environmentNotes(
  before: Readonly<Record<string, string | number>>,
  now: Readonly<Record<string, string | number>>,
): string[] {
  const changed = Object.keys({ ...before, ...now }).filter((key) => before[key] !== now[key]);
  if (changed.length === 0) return [];
  const words = changed.map((key) => `${key}: ${before[key] ?? "unknown"} → ${now[key] ?? "unknown"}`);
  return [`from here on the last bits may differ from those of a run that never stopped: ${words.join("; ")}`];
}

/**
 * The state that a run goes on from, without the best loss so far where it is no
 * longer the one to go by, or its checkpoint is gone.
 *
 * @param hasBest whether the checkpoint of the best loss is there
 */
export function soundState(state: CheckpointState, config: RunConfig, hasBest: boolean): { state: CheckpointState; notes: string[] } {
  const [was, is] = [state.config.evaluation.earlyStopping, config.evaluation.earlyStopping];
  if (JSON.stringify(was) !== JSON.stringify(is)) {
    const notes = is === null ? [] : ["early stopping begins anew: what it goes by has changed"];
    return { state: { ...state, best: null, stopping: null }, notes };
  }
  if (state.best === null || is === null || hasBest) return { state, notes: [] };
  return {
    state: { ...state, best: null },
    notes: [`the checkpoint of the lowest loss so far (update ${state.best.step}) is gone, so the best is looked for from here on`],
  };
}
