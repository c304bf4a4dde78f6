import { encodeFromF32 } from "../../codecs/index.ts";
import { InternalError } from "../../core/index.ts";
import { type Parameter, storedLayout } from "../../engine/index.ts";
import {
  type AdamWGroup,
  type AdamWParameterState,
  adamW8bitStateDict,
  adamWStateDict,
  type LogEntry,
  lambdaLrStateDict,
  seededRngState,
  serializeTrainerState,
  type TensorToSave,
  torchTensor,
  trainerControlState,
  type ValueToSave,
} from "../../formats/index.ts";
import { DEFAULT_GROUP, hasWeightDecay } from "../../ledger/index.ts";
import type { Optimizer, OptimizerSlot } from "../optimizers/index.ts";
import type { TrainingSession } from "../session.ts";
import { bytePieces, encodedPieces, type PlannedFile } from "./files.ts";
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

/** A state tensor as its file has it: what has an element for each of the parameter's lies as the parameter is stored. */
function stateTensor(parameter: Parameter, live: Float32Array | Uint8Array, read: Reading): TensorToSave {
  const isLikeIt = live.length === parameter.values.length;
  const shape = isLikeIt ? parameter.shape : [live.length];
  if (live instanceof Float32Array) {
    const stored = (): Float32Array => (isLikeIt ? storedLayout(parameter, read(live)) : read(live));
    return torchTensor("F32", shape, () => encodedPieces("F32", stored()));
  }
  if (parameter.layout !== "as-stored")
    throw new InternalError("8-bit state of a tensor that is held transposed", { where: parameter.name });
  return torchTensor("U8", shape, () => bytePieces(read(live)));
}

type ParameterTensors = ReadonlyMap<string, TensorToSave>;

/** The optimizer's file in the form of the library whose optimizer it is. */
function stateDict(optimizer: Optimizer, parameters: ReadonlyMap<number, ParameterTensors>, groups: readonly AdamWGroup[]): ValueToSave {
  const { step } = optimizer;
  if (optimizer.name === "adamw8bit") {
    return adamW8bitStateDict(new Map([...parameters].map(([index, tensors]) => [index, { step, tensors }])), groups);
  }
  const moment = (tensors: ParameterTensors, name: string): TensorToSave => {
    const tensor = tensors.get(name);
    if (tensor === undefined) throw new InternalError(`AdamW without ${name}`);
    return tensor;
  };
  const state = [...parameters].map(([index, tensors]): [number, AdamWParameterState] => [
    index,
    { step: torchTensor("F32", [], f32(step)), expAvg: moment(tensors, "exp_avg"), expAvgSq: moment(tensors, "exp_avg_sq") },
  ]);
  return adamWStateDict(new Map(state), groups);
}

function optimizerFile(session: TrainingSession, step: number, read: Reading): PlannedFile {
  const { betas, epsilon, weightDecay } = session.plan.training;
  const rates = session.learningRates(step + 1);
  const parameters = new Map<number, ParameterTensors>();
  let index = 0;
  const groups = indexedGroups(session).map(({ group, slots }) => {
    const indices = slots.map(({ parameter, state }) => {
      // torch makes a parameter's state in its first step.
      if (session.optimizer.step > 0) {
        parameters.set(index, new Map(Object.entries(state).map(([name, live]) => [name, stateTensor(parameter, live, read)])));
      }
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
  return { name: "optimizer.pt", torch: stateDict(session.optimizer, parameters, groups) };
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
