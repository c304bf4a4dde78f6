import { f32ToBf16Stochastic } from "../codecs/index.ts";
import type { LearningRateGroup, TrainingConfig } from "../config/index.ts";
import { HeirloomError } from "../core/index.ts";
import type { MicroBatch } from "../data/index.ts";
import type { Bf16Parameter, CausalModel, Parameter } from "../engine/index.ts";
import { DEFAULT_GROUP, matchGroups } from "../ledger/index.ts";
import { clipFactor, globalNorm, hasFiniteGradient } from "./gradients.ts";
import { type Compile, OPTIMIZERS, type Optimizer, type StorePiece } from "./optimizers/index.ts";
import { type SchedulePlan, scheduleFactor } from "./schedule.ts";

/** What the updates of a session depend on, besides the batches. */
export interface SessionPlan {
  readonly groups: readonly LearningRateGroup[];
  readonly learningRate: number;
  readonly schedule: SchedulePlan;
  readonly training: Pick<TrainingConfig, "optimizer" | "weightDecay" | "betas" | "epsilon" | "maxGradNorm" | "lossNormalization" | "seed">;
}

/** What one update did. */
export interface UpdateOutcome {
  /** Mean loss per label token, or mean of the micro-batches' means. */
  readonly loss: number;
  /** Global gradient norm before clipping. */
  readonly gradNorm: number;
  /** Rate that the update was made with, per group. */
  readonly learningRates: ReadonlyMap<string, number>;
  /** Real tokens. */
  readonly tokens: number;
}

/** What a caller may do between an update's gradients and its step. */
export interface UpdateHooks {
  /** The gradients are there, the values are those of the update before. */
  beforeStep?(): void;
  /** A piece of a tensor with a bf16 master has moved, from element `start` on, and is not rounded yet. */
  beforeRounding?(parameter: Parameter, start: number, values: Float32Array): void;
}

/** What each label token's loss counts in an update, per micro-batch. */
function labelWeights(batches: readonly MicroBatch[], normalization: "token" | "micro"): number[] {
  const total = batches.reduce((sum, batch) => sum + batch.labelTokenCount, 0);
  return batches.map(({ labelTokenCount: count }) => {
    if (count === 0) return 0;
    return normalization === "token" ? 1 / total : 1 / (count * batches.length);
  });
}

/** A model being trained: its optimizer, groups and schedule. One call makes one update. */
export class TrainingSession {
  readonly model: CausalModel;
  readonly optimizer: Optimizer;
  readonly plan: SessionPlan;
  /** Weight decay and peak rate of every group that has a tensor. */
  readonly groups: ReadonlyMap<string, { readonly learningRate: number; readonly weightDecay: number }>;

  constructor(model: CausalModel, plan: SessionPlan) {
    this.model = model;
    this.plan = plan;
    const { training } = plan;
    const settings = new Map(plan.groups.map(({ name, learningRate, weightDecay }) => [name, { learningRate, weightDecay }]));
    settings.set(DEFAULT_GROUP, { learningRate: plan.learningRate, weightDecay: training.weightDecay });
    const trained = model.weights.trained;
    const assigned = matchGroups(
      model.weights.parameters.map(({ name }) => name),
      plan.groups,
    );
    const targets = trained.map((parameter) => {
      const group = assigned.get(parameter.name) ?? DEFAULT_GROUP;
      return { parameter, group, weightDecay: settings.get(group)?.weightDecay ?? training.weightDecay };
    });
    const used = new Set(targets.map(({ group }) => group));
    this.groups = new Map([...settings].filter(([name]) => used.has(name)));
    const compile: Compile = (name, make) => model.compile(name, make);
    this.optimizer = OPTIMIZERS[training.optimizer](targets, { betas: training.betas, epsilon: training.epsilon }, compile);
  }

  /** Rates of update `step` (1-based), per group. */
  learningRates(step: number): Map<string, number> {
    const factor = scheduleFactor(this.plan.schedule, step);
    return new Map([...this.groups].map(([name, { learningRate }]) => [name, learningRate * factor]));
  }

  /** The factor 1 − lr·λ by which update `step` shrinks a tensor before moving it. */
  decayOf(parameter: Parameter, step: number): number {
    const slot = this.optimizer.slots.find((candidate) => candidate.parameter === parameter);
    if (slot === undefined) return 1;
    return 1 - (this.learningRates(step).get(slot.group) ?? 0) * slot.weightDecay;
  }

  /**
   * One update from its micro-batches: gradients, clipping, optimizer step.
   *
   * @param step 1-based number of the update
   * @throws LOSS_NOT_FINITE before anything was changed
   */
  async update(batches: readonly MicroBatch[], step: number, hooks: UpdateHooks = {}): Promise<UpdateOutcome> {
    const { training } = this.plan;
    const { trace } = this.model;
    const weights = labelWeights(batches, training.lossNormalization);
    this.model.beginUpdate();
    let loss = 0;
    for (const [microStep, batch] of batches.entries()) {
      const position = { seed: training.seed, update: step - 1, microStep };
      const accumulate = (): Promise<number> => this.model.accumulate(batch, weights[microStep] as number, position);
      loss += await trace.span(`micro-step ${microStep + 1}`, "micro-step", { tokens: batch.tokenCount }, accumulate);
    }
    const gradNorm = trace.span("clipping", "clipping", {}, () => {
      this.model.finishGradients();
      return globalNorm(this.model.weights.trained);
    });
    this.#requireFinite(loss, gradNorm, step);
    hooks.beforeStep?.();
    const learningRates = this.learningRates(step);
    const scale = clipFactor(gradNorm, training.maxGradNorm);
    const store: StorePiece = (parameter, start, values) => {
      hooks.beforeRounding?.(parameter, start, values);
      this.#round(parameter, start, values, step);
    };
    await trace.span("optimizer", "optimizer", {}, () => this.optimizer.update(learningRates, scale, store));
    return { loss, gradNorm, learningRates, tokens: batches.reduce((sum, batch) => sum + batch.tokenCount, 0) };
  }

  #requireFinite(loss: number, gradNorm: number, step: number): void {
    if (Number.isFinite(loss) && Number.isFinite(gradNorm)) return;
    const bad = this.model.weights.trained.find((parameter) => !hasFiniteGradient(parameter));
    throw new HeirloomError(
      "LOSS_NOT_FINITE",
      `the loss became ${loss} and the gradient norm ${gradNorm}; the weights are those of the update before`,
      {
        where: `update ${step}${bad === undefined ? "" : `, first in the gradient of ${bad.name}`}`,
        hint: "lower training.learningRate or lengthen the warm-up, and start again from an earlier checkpoint: heirloom continue",
        details: { step, loss: String(loss), gradNorm: String(gradNorm), tensor: bad?.name ?? null },
      },
    );
  }

  /**
   * Rounds a piece of a bf16 master stochastically. To nearest, an update below half a bf16
   * step (0.2–0.4 % of the weight) would be lost every time, and the tensor
   * would never move.
   */
  #round(parameter: Bf16Parameter, start: number, values: Float32Array, step: number): void {
    const key = { seed: this.plan.training.seed, stream: parameter.name, step };
    f32ToBf16Stochastic(values, parameter.values.subarray(start, start + values.length), key, start);
  }
}
