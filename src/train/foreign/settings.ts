import {
  type ChangeName,
  type Changes,
  changeKey,
  type LearningRateGroup,
  learningRateGroups,
  type ResolvedConfig,
  RUN_CHANGE_NAMES,
  type TrainingConfig,
} from "../../config/index.ts";
import type { ProblemList } from "../../core/index.ts";
import { matchGroups } from "../../ledger/index.ts";
import type { Values } from "../inherited.ts";
import { scheduleFactor, warmupLength } from "../schedule.ts";
import { foreignSchedule, type TrainerSettings } from "./arguments.ts";
import type { TrainerCheckpoint } from "./files.ts";
import { type ForeignOptimizer, groupValues } from "./optimizer.ts";

/** Rates come out of the same few operations in double precision: only their order differs. */
const RATE_TOLERANCE = 1e-9;

function defined(values: Values): Values {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

/** What a checkpoint says of its run, as a part of run.yaml. */
export function runValues(settings: TrainerSettings, optimizer: ForeignOptimizer | null): { training: Values; data: Values } {
  const { packing, maxLength, ...training } = settings;
  const [first] = optimizer?.groups ?? [];
  const rates: Values =
    optimizer === null || first === undefined
      ? {}
      : {
          learningRate: first.peak,
          weightDecay: first.weightDecay,
          betas: optimizer.betas,
          epsilon: optimizer.epsilon,
          groups: groupValues(optimizer.groups),
        };
  return { training: defined({ ...training, ...rates }), data: defined({ packing, maxLength }) };
}

/** Peak rate and weight decay of every tensor. */
function ratesByTensor(training: TrainingConfig, names: readonly string[]): string[] {
  const groups = learningRateGroups(training);
  const byName = new Map(groups.map((group): [string, LearningRateGroup] => [group.name, group]));
  const assigned = matchGroups(names, groups);
  return names.map((name) => {
    const group = byName.get(assigned.get(name) ?? "");
    return `${group?.learningRate ?? training.learningRate} ${group?.weightDecay ?? training.weightDecay}`;
  });
}

/** Settings that together say how fast each tensor is moved. */
const RATES: readonly ChangeName[] = ["learningRate", "weightDecay", "groups"];

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

/** Everything about the run in which a configuration contradicts its checkpoint. */
export class Contradictions {
  readonly #inherited: { readonly training: Values; readonly data: Values };
  readonly #resolved: ResolvedConfig;
  readonly #changes: Changes;
  readonly #problems: ProblemList;

  constructor(
    inherited: { readonly training: Values; readonly data: Values },
    resolved: ResolvedConfig,
    changes: Changes,
    problems: ProblemList,
  ) {
    this.#inherited = inherited;
    this.#resolved = resolved;
    this.#changes = changes;
    this.#problems = problems;
  }

  /** Notes each that no change names. */
  collect(optimizer: ForeignOptimizer | null): void {
    const names: readonly ChangeName[] = [...RUN_CHANGE_NAMES, "groups"];
    const ratesDiffer = optimizer !== null && this.#ratesDiffer(optimizer);
    for (const name of names) {
      if (this.#changes.named.has(name) || (RATES.includes(name) && !ratesDiffer)) continue;
      const [expected, found] = [this.#expected(name), this.#found(name)];
      if (expected === undefined || same(expected, found)) continue;
      const key = changeKey(name);
      this.#problems.add("RESUME_CHANGED", `expected ${JSON.stringify(expected)} as in the checkpoint, found ${JSON.stringify(found)}`, {
        where: key,
        hint: `leave it out to go on as it was, or say that it is meant: --change ${name}`,
        details: { setting: key, expected, found },
      });
    }
  }

  #expected(name: ChangeName): unknown {
    const [table, key] = changeKey(name).split(".") as ["training" | "data", string];
    return this.#inherited[table][key];
  }

  #found(name: ChangeName): unknown {
    const { training, data } = this.#resolved.config;
    // A warm-up may be given as a share of the run.
    if (name === "warmupSteps" && training.steps !== null) return warmupLength(training.steps, training);
    return name === "packing" ? data.packing : training[changeKey(name).split(".")[1] as keyof TrainingConfig];
  }

  /** However they are written: groups in other words for the same rates are no contradiction. */
  #ratesDiffer({ parameters }: ForeignOptimizer): boolean {
    const { training } = this.#resolved.config;
    const { learningRate, weightDecay, groups } = this.#inherited.training;
    const before = {
      ...training,
      learningRate: learningRate as number,
      weightDecay: weightDecay as number,
      groups: groups as TrainingConfig["groups"],
    };
    return !same(ratesByTensor(before, parameters), ratesByTensor(training, parameters));
  }
}

/** Notes what neither the checkpoint nor the configuration says, rather than take a default for it. */
export function requireSaid(inherited: { readonly training: Values }, { provenance, config }: ResolvedConfig, problems: ProblemList): void {
  const said = (key: string): boolean => {
    const [, name = ""] = key.split(".");
    if (name in inherited.training) return true;
    return provenance[key] !== undefined && provenance[key] !== "default";
  };
  const missing = (["schedule", "batchSize", "accumulation", "maxGradNorm"] as const)
    .map((name) => `training.${name}`)
    .filter((key) => !said(key));
  if (!said("training.warmupSteps") && !said("training.warmupRatio")) missing.push("training.warmupSteps");
  if (config.training.steps === null && !said("training.epochs")) missing.push("training.steps");
  for (const where of missing) {
    const hint = "write it into the run file as that run had it, or --set " + `${where}=…`;
    problems.add("HANDOVER_INCOMPLETE", "the checkpoint does not say it, and the configuration neither", { where, hint });
  }
}

/** Changes after which the rates need not be those that the checkpoint was about to use. */
const BENDING: readonly ChangeName[] = ["schedule", "warmupSteps", "steps", "learningRate", "groups"];

/**
 * Holds the schedule against the rates that the checkpoint was about to use: its
 * name is only what the arguments call it.
 */
export function checkSchedule(
  checkpoint: TrainerCheckpoint,
  optimizer: ForeignOptimizer,
  { training }: ResolvedConfig["config"],
  { named }: Changes,
  problems: ProblemList,
): void {
  const foreign = foreignSchedule(checkpoint);
  const hint = "choose one of linear, cosine and constant for the updates that are left: --change schedule=…";
  if (foreign !== null && !named.has("schedule")) {
    problems.add("HANDOVER_UNSUPPORTED", `the schedule ${JSON.stringify(foreign)} is not implemented`, { where: checkpoint.path, hint });
    return;
  }
  const { step } = checkpoint;
  // Another schedule than the checkpoint's, if it was not named, is told already.
  if (problems.problems.some(({ code }) => code === "RESUME_CHANGED")) return;
  if (step === null || training.steps === null || step >= training.steps || BENDING.some((name) => named.has(name))) return;
  const plan = { name: training.schedule, steps: training.steps, warmupSteps: warmupLength(training.steps, training) };
  const factor = scheduleFactor(plan, step + 1);
  for (const { name, peak, next } of optimizer.groups) {
    if (next === null || Math.abs(next - peak * factor) <= RATE_TOLERANCE * peak) continue;
    const { schedule, steps } = training;
    problems.add(
      "HANDOVER_UNSUPPORTED",
      `${schedule} over ${steps} updates, ${plan.warmupSteps} of warm-up, makes the rate of update ${step + 1} ${peak * factor}; the checkpoint's is ${next}`,
      { where: `${checkpoint.path}, group ${name}`, hint },
    );
  }
}
