import { encodeFromF32 } from "../../codecs/index.ts";
import { storedLayout } from "../../engine/index.ts";
import {
  type AdamWParameterState,
  adamWStateDict,
  type LogEntry,
  lambdaLrStateDict,
  seededRngState,
  serializeTrainerState,
  torchTensor,
  trainerControlState,
} from "../../formats/index.ts";
import { DEFAULT_GROUP, hasWeightDecay } from "../../ledger/index.ts";
import type { OptimizerSlot } from "../optimizers/index.ts";
import type { TrainingSession } from "../session.ts";
import { encodedPieces, type PlannedFile } from "./files.ts";
import type { Reading } from "./memory.ts";

/** How far a run is, in the words of the Trainer. */
export interface TrainerProgress {
  readonly step: number;
  readonly steps: number;
  /** With its fraction. */
  readonly epoch: number;
  readonly epochs: number;
  readonly tokens: number;
  readonly batchSize: number;
  readonly evaluateEvery: number | null;
  readonly saveEvery: number | null;
  readonly seed: number;
  readonly log: readonly LogEntry[];
  readonly best: { readonly step: number; readonly value: number } | null;
}

/** Slots in the groups and order that `optimizer.pt` has them in. */
export interface IndexedGroup {
  readonly group: string;
  readonly slots: readonly OptimizerSlot[];
}

/**
 * The optimizer's groups as the Trainer makes them: one with and one without
 * decay where no learning-rate group is configured, else one for each group, as
 * our recipes build them: the default group first, as in Unsloth's optimizer.
 */
export function indexedGroups({ groups, optimizer }: TrainingSession): readonly IndexedGroup[] {
  const names = [...groups.keys()].sort((a, b) => Number(b === DEFAULT_GROUP) - Number(a === DEFAULT_GROUP));
  const [only] = names;
  if (names.length > 1 || only === undefined) {
    return names.map((group) => ({ group, slots: optimizer.slots.filter((slot) => slot.group === group) }));
  }
  const decayed = (slot: OptimizerSlot): boolean => hasWeightDecay(slot.parameter.name);
  return [
    { group: only, slots: optimizer.slots.filter(decayed) },
    { group: only, slots: optimizer.slots.filter((slot) => !decayed(slot)) },
  ];
}

const f32 = (value: number): Uint8Array => encodeFromF32("F32", Float32Array.of(value));

function slotState({ parameter, state }: OptimizerSlot, step: number, read: Reading): AdamWParameterState {
  const moment = (values: Float32Array) =>
    torchTensor("F32", parameter.shape, () => encodedPieces("F32", storedLayout(parameter, read(values))));
  const { exp_avg: mean, exp_avg_sq: square } = state as { exp_avg: Float32Array; exp_avg_sq: Float32Array };
  return { step: torchTensor("F32", [], f32(step)), expAvg: moment(mean), expAvgSq: moment(square) };
}

function optimizerFile(session: TrainingSession, step: number, read: Reading): PlannedFile {
  const { betas, epsilon, weightDecay } = session.plan.training;
  const rates = session.learningRates(step + 1);
  const parameters = new Map<number, AdamWParameterState>();
  let index = 0;
  const groups = indexedGroups(session).map(({ group, slots }) => {
    const indices = slots.map((slot) => {
      // torch makes a parameter's state in its first step.
      if (session.optimizer.step > 0) parameters.set(index, slotState(slot, session.optimizer.step, read));
      return index++;
    });
    const settings = session.groups.get(group);
    return {
      lr: rates.get(group) ?? 0,
      initialLr: settings?.learningRate ?? 0,
      betas,
      eps: epsilon,
      weightDecay: settings?.weightDecay ?? weightDecay,
      params: indices,
    };
  });
  return { name: "optimizer.pt", torch: adamWStateDict(parameters, groups) };
}

function schedulerFile(session: TrainingSession, step: number): PlannedFile {
  const groups = indexedGroups(session).map(({ group }) => group);
  const next = session.learningRates(step + 1);
  const { name, warmupSteps } = session.plan.schedule;
  return {
    name: "scheduler.pt",
    torch: lambdaLrStateDict({
      baseLrs: groups.map((group) => session.groups.get(group)?.learningRate ?? 0),
      lastLrs: groups.map((group) => next.get(group) ?? 0),
      lastEpoch: step,
      lambda: name === "constant" && warmupSteps === 0 ? "function" : "partial",
    }),
  };
}

function stateFile({ step, steps, epoch, epochs, tokens, batchSize, evaluateEvery, saveEvery, log, best }: TrainerProgress): PlannedFile {
  const values = {
    bestGlobalStep: best?.step ?? null,
    bestMetric: best?.value ?? null,
    bestModelCheckpoint: null,
    epoch,
    evalSteps: evaluateEvery ?? steps,
    globalStep: step,
    isHyperParamSearch: false,
    isLocalProcessZero: true,
    isWorldProcessZero: true,
    logHistory: log,
    loggingSteps: 1,
    maxSteps: steps,
    numInputTokensSeen: tokens,
    numTrainEpochs: epochs,
    saveSteps: saveEvery ?? steps,
    statefulCallbacks: { TrainerControl: trainerControlState(step === steps) },
    totalFlos: 0,
    trainBatchSize: batchSize,
    trialName: null,
    trialParams: null,
  };
  return { name: "trainer_state.json", text: () => serializeTrainerState(values) };
}

/**
 * What the Trainer wants beside the weights to resume: optimizer.pt, scheduler.pt,
 * rng_state.pth and trainer_state.json. Its random generators cannot be handed
 * over, as ours are other ones: theirs start from the run's seed and step.
 *
 * @param read where the optimizer's tensors are read from
 */
export function trainerFiles(session: TrainingSession, progress: TrainerProgress, read: Reading): PlannedFile[] {
  return [
    optimizerFile(session, progress.step, read),
    schedulerFile(session, progress.step),
    { name: "rng_state.pth", torch: seededRngState(progress.seed + progress.step) },
    stateFile(progress),
  ];
}
