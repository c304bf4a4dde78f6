import { describe, expect, it } from "vitest";
import { memorySource } from "../core/index.ts";
import { joined, vectorBytes, withoutOwnId } from "./fixtures/torch-files.ts";
import {
  type AdamWGroup,
  type AdamWParameterState,
  adamWStateDict,
  encodeTorchFile,
  entryOfDict,
  isTorchTensor,
  type LogEntry,
  lambdaLrStateDict,
  type PickleValue,
  parseJson,
  readTorchFile,
  rngStateOf,
  serializeTrainerState,
  type TensorToSave,
  type TorchDtype,
  torchTensor,
  trainerControlState,
  type ValueToSave,
} from "./index.ts";

const CHECKPOINT = "hf-trainer-checkpoint/run/checkpoint-10";
const readState = async (file: string) => (await readTorchFile(memorySource(await vectorBytes(`${CHECKPOINT}/${file}`)))).value;
const sameAsTorch = async (file: string, value: ValueToSave): Promise<void> => {
  const bytes = await joined(encodeTorchFile(value, { archiveName: file.replace(/\.\w+$/, "") }));
  expect(Buffer.compare(withoutOwnId(bytes), withoutOwnId(await vectorBytes(`${CHECKPOINT}/${file}`)))).toBe(0);
};

async function tensorOf(value: PickleValue | undefined): Promise<TensorToSave> {
  if (!isTorchTensor(value)) throw new TypeError("expected a tensor");
  return torchTensor(value.dtype as TorchDtype, value.shape, await value.source.read(0, value.source.size));
}

const plain = (value: PickleValue | undefined): Record<string, unknown> => Object.fromEntries(value as unknown as Map<string, unknown>);
const list = (value: unknown): readonly number[] => value as readonly number[];

describe("the files of a Trainer's checkpoint, written again", () => {
  it("are torch's optimizer.pt byte for byte", async () => {
    const optimizer = await readState("optimizer.pt");
    const parameters = new Map<number, AdamWParameterState>();
    for (const [index, values] of entryOfDict(optimizer, "state") as ReadonlyMap<number, PickleValue>) {
      const [step, expAvg, expAvgSq] = await Promise.all(
        ["step", "exp_avg", "exp_avg_sq"].map((key) => tensorOf(entryOfDict(values, key))),
      );
      if (step && expAvg && expAvgSq) parameters.set(index, { step, expAvg, expAvgSq });
    }
    const groups = (entryOfDict(optimizer, "param_groups") as readonly PickleValue[]).map((value) => {
      const group = plain(value);
      const [lr, initialLr, eps, weightDecay] = ["lr", "initial_lr", "eps", "weight_decay"].map((key) => Number(group[key]));
      return { lr, initialLr, eps, weightDecay, betas: list(group["betas"]), params: list(group["params"]) } as unknown as AdamWGroup;
    });
    expect([parameters.size, groups.length]).toEqual([44, 2]);
    await sameAsTorch("optimizer.pt", adamWStateDict(parameters, groups));
  });

  it("are torch's scheduler.pt byte for byte", async () => {
    const state = plain(await readState("scheduler.pt"));
    const [baseLrs, lastLrs] = [list(state["base_lrs"]), list(state["_last_lr"])];
    await sameAsTorch("scheduler.pt", lambdaLrStateDict({ baseLrs, lastLrs, lastEpoch: Number(state["last_epoch"]), lambda: "partial" }));
  });

  it("are torch's rng_state.pth byte for byte", async () => {
    const state = await readState("rng_state.pth");
    const [, words, gaussNext] = entryOfDict(state, "python") as readonly [number, readonly number[], number | null];
    const [, array, position, hasGauss, cachedGaussian] = entryOfDict(state, "numpy") as readonly [string, unknown, number, number, number];
    const [, , , , numpyBytes] = (array as { state: readonly [number, unknown, unknown, boolean, Uint8Array] }).state;
    const cpu = entryOfDict(state, "cpu");
    const value = rngStateOf({
      python: { words: Uint32Array.from(words.slice(0, 624)), position: words[624] as number, gaussNext },
      numpy: { words: new Uint32Array(numpyBytes.slice().buffer), position, hasGauss: hasGauss !== 0, cachedGaussian },
      torch: isTorchTensor(cpu) ? await cpu.source.read(0, 5056) : new Uint8Array(0),
    });
    await sameAsTorch("rng_state.pth", value);
  });

  it("are Trainer's trainer_state.json byte for byte", async () => {
    const text = new TextDecoder().decode(await vectorBytes(`${CHECKPOINT}/trainer_state.json`));
    const file = parseJson(text, "trainer_state.json") as Record<string, unknown>;
    const number = (key: string): number => Number(file[key]);
    const written = serializeTrainerState({
      bestGlobalStep: null,
      bestMetric: null,
      bestModelCheckpoint: null,
      epoch: number("epoch"),
      evalSteps: number("eval_steps"),
      globalStep: number("global_step"),
      isHyperParamSearch: false,
      isLocalProcessZero: true,
      isWorldProcessZero: true,
      logHistory: file["log_history"] as readonly LogEntry[],
      loggingSteps: number("logging_steps"),
      maxSteps: number("max_steps"),
      numInputTokensSeen: number("num_input_tokens_seen"),
      numTrainEpochs: number("num_train_epochs"),
      saveSteps: number("save_steps"),
      statefulCallbacks: { TrainerControl: trainerControlState() },
      totalFlos: number("total_flos"),
      trainBatchSize: number("train_batch_size"),
      trialName: null,
      trialParams: null,
    });
    expect(written).toBe(text);
  });
});
