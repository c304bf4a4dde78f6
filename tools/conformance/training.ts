// Training runs against the vectors: step by step, and what they leave.
import { adapterTensors } from "../../src/adapter/index.ts";
import type { LearningRateGroup } from "../../src/config/index.ts";
import type { MicroBatch } from "../../src/data/index.ts";
import { readValues, storedLayout } from "../../src/engine/index.ts";
import type { TensorFile } from "../../src/formats/index.ts";
import { DEFAULT_GROUP, matchesTensor } from "../../src/ledger/index.ts";
import { type SessionPlan, scheduleFactor, TrainingSession } from "../../src/train/index.ts";
import type { Measure } from "./check.ts";
import { largest, largestDifference, largestOf, relativeDifference, sameSet } from "./compare.ts";
import { floats } from "./files.ts";
import { meanLoss } from "./logits.ts";
import type { LiveModel, LoadedAdapter } from "./scene.ts";
import { TOLERANCES } from "./tolerances.ts";

/** What the vectors record of one update. */
export interface StepRecord {
  readonly step: number;
  readonly loss: number;
  readonly microLosses?: readonly number[];
  readonly gradNorm?: number;
  /** Rates by group. */
  readonly rates?: Readonly<Record<string, number>>;
}

/** Why a run cannot be repeated number by number; null if it can. */
export function notRepeatable({ spec }: LoadedAdapter): string | null {
  return spec.dropout > 0 ? `the run had dropout (${spec.dropout}), whose random numbers are PyTorch's own` : null;
}

/** The groups that have a tensor in this model (an empty one is an error of the user's). */
export function usedGroups(live: LiveModel, groups: readonly LearningRateGroup[]): LearningRateGroup[] {
  return groups.filter(({ match }) => live.parameters.some(({ name }) => match.some((pattern) => matchesTensor(pattern, name))));
}

/** What a caller does between updates. */
export interface ReplayHooks {
  begin?(session: TrainingSession): Promise<void>;
  afterStep?(session: TrainingSession, step: number): Promise<void>;
}

/**
 * Makes the recorded updates and compares each.
 *
 * @param updates the micro-batches of each update
 * @param hooks `begin`: before the first update; `afterStep`: after each, with its number
 */
export async function replay(
  live: LiveModel,
  plan: SessionPlan,
  records: readonly StepRecord[],
  updates: readonly (readonly MicroBatch[])[],
  hooks: ReplayHooks = {},
): Promise<{ session: TrainingSession; measures: Measure[] }> {
  const session = new TrainingSession(live.model, plan);
  await hooks.begin?.(session);
  const errors = { losses: [], microLosses: [], norms: [], rates: [] } as Record<string, [string, number][]>;
  for (const [i, record] of records.entries()) {
    const batches = updates[i] ?? [];
    for (const [m, want] of (record.microLosses ?? []).entries()) {
      const got = await meanLoss(live.model, batches[m] as MicroBatch);
      errors["microLosses"]?.push([`step ${record.step}, micro-batch ${m + 1}`, Math.abs(want - got)]);
    }
    const where = `step ${record.step}`;
    const outcome = await session.update(batches, record.step);
    errors["losses"]?.push([where, Math.abs(record.loss - outcome.loss)]);
    if (record.gradNorm !== undefined) errors["norms"]?.push([where, Math.abs(outcome.gradNorm / record.gradNorm - 1)]);
    for (const [group, want] of Object.entries(record.rates ?? {})) {
      const got = outcome.learningRates.get(group) ?? rateOf(plan, group, record.step);
      if (got !== null) errors["rates"]?.push([`${where}, ${group}`, Math.abs(want - got)]);
    }
    await hooks.afterStep?.(session, record.step);
  }
  const { losses = [], microLosses = [], norms = [], rates = [] } = errors;
  return {
    session,
    measures: [
      largest("losses", TOLERANCES.trainingLoss, losses),
      ...(microLosses.length === 0 ? [] : [largest("micro-batch losses", TOLERANCES.trainingLoss, microLosses)]),
      ...(norms.length === 0 ? [] : [largest("gradient norms, relative", TOLERANCES.gradientNorm, norms)]),
      ...(rates.length === 0 ? [] : [largest("learning rates", TOLERANCES.learningRate, rates)]),
    ],
  };
}

/** The rate of a group in which there is no tensor; null if the plan does not know it either. */
function rateOf(plan: SessionPlan, group: string, step: number): number | null {
  const peak = group === DEFAULT_GROUP ? plan.learningRate : plan.groups.find(({ name }) => name === group)?.learningRate;
  return peak === undefined ? null : peak * scheduleFactor(plan.schedule, step);
}

/** Extra room of one element's final value, besides the tolerance. */
type Allowance = (index: number) => number;

/**
 * What gradients within their tolerance may make of a weight in Adam's first step, which moves it by
 * rate · g / (|g| + ε): nearly nothing, but for a gradient that is itself rounding, up to twice the rate.
 */
export function firstStepAllowance(gradient: Float32Array, rate: number, epsilon: number): Allowance {
  const slack = TOLERANCES.gradient * largestOf(gradient);
  const step = (g: number): number => g / (Math.abs(g) + epsilon);
  return (i) => {
    const g = gradient[i] as number;
    // No gradient at all (a row that was not seen) must stay none.
    if (g === 0) return 0;
    return rate * Math.max(step(g + slack) - step(g), step(g) - step(g - slack));
  };
}

/** The live adapter against a saved one; `allowance` gives the extra room in a tensor of a live name. */
export async function adapterMeasures(
  what: string,
  { parameters, resolved }: LiveModel,
  file: TensorFile,
  allowance: (liveName: string) => Promise<Allowance> = () => Promise.resolve(() => 0),
): Promise<Measure[]> {
  const tensors = resolved === null ? [] : adapterTensors(resolved);
  const errors = { lora: [] as [string, number][], copies: [] as [string, number][] };
  for (const tensor of tensors) {
    const parameter = parameters.find(({ name }) => name === (tensor.aliasOf ?? tensor.liveName));
    if (parameter === undefined || !file.tensors.has(tensor.name)) continue;
    const room = await allowance(parameter.name);
    const error = largestDifference(await floats(file, tensor.name), storedLayout(parameter, readValues(parameter)), { room });
    errors[tensor.role === "full_copy" ? "copies" : "lora"].push([tensor.name, error]);
  }
  return [
    sameSet(
      `${what}: tensors`,
      [...file.tensors.keys()],
      tensors.map(({ name }) => name),
    ),
    ...(errors.lora.length === 0 ? [] : [largest(`${what}: LoRA`, TOLERANCES.lora, errors.lora)]),
    ...(errors.copies.length === 0 ? [] : [largest(`${what}: full copies`, TOLERANCES.fullCopy, errors.copies)]),
  ];
}

/**
 * The optimizer's moments against a file, each as a share of its tensor's largest.
 *
 * @param nameOf the tensor's name in the file for a moment (`exp_avg`, `exp_avg_sq`) of a live tensor
 */
export async function momentMeasures(
  what: string,
  { optimizer }: TrainingSession,
  file: TensorFile,
  nameOf: (moment: string, liveName: string) => string,
): Promise<Measure[]> {
  const names: string[] = [];
  const errors: Record<string, [string, number][]> = {};
  for (const { parameter, state } of optimizer.slots) {
    for (const [moment, values] of Object.entries(state)) {
      const name = nameOf(moment, parameter.name);
      names.push(name);
      if (!file.tensors.has(name)) continue;
      const error = relativeDifference(await floats(file, name), storedLayout(parameter, values as Float32Array));
      errors[moment] = [...(errors[moment] ?? []), [parameter.name, error]];
    }
  }
  return [
    sameSet(`${what}: tensors`, [...file.tensors.keys()], names),
    ...Object.entries(errors).map(([moment, found]) => largest(`${what}: ${moment}`, TOLERANCES.gradient, found)),
  ];
}
