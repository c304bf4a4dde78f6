import { describe, expect, it } from "vitest";
import { InternalError, memorySource } from "../../core/index.ts";
import { joined } from "../fixtures/torch-files.ts";
import {
  encodeTorchFile,
  type HfTrainerState,
  isTorchTensor,
  lambdaLrStateDict,
  type PickleValue,
  pyFloat,
  readTorchFile,
  seededRngState,
  serializeTrainerState,
  trainerControlState,
} from "../index.ts";

const read = async (value: Parameters<typeof encodeTorchFile>[0]) =>
  (await readTorchFile(memorySource(await joined(encodeTorchFile(value))))).value as ReadonlyMap<string, PickleValue>;

interface Expected {
  readonly python: readonly [first: readonly number[], last: readonly number[]];
  readonly numpy: readonly [first: readonly number[], last: readonly number[]];
  /** The first 16 bytes, and the last two words. */
  readonly torch: readonly [string, string];
}

// Printed by Python 3.11, numpy 2.4.6 and torch 2.13.0 after random.seed(s), np.random.seed(s & 0xffffffff), torch.manual_seed(s).
const SEEDED: readonly (readonly [bigint, Expected])[] = [
  [
    42n,
    {
      python: [
        [2147483648, 3564348608, 1266698288, 4212342371],
        [955801623, 3831079317, 624],
      ],
      numpy: [
        [42, 3107752595, 1895908407],
        [836540831, 26719530],
      ],
      torch: ["2a000000000000000100000001000000", "9f99dc31000000002ab5970100000000"],
    },
  ],
  [
    2n ** 32n,
    {
      python: [
        [2147483648, 3247729875, 1917745790, 3063680945],
        [1288378119, 2855728268, 624],
      ],
      numpy: [
        [0, 1, 1812433255],
        [3048484911, 1796872496],
      ],
      torch: ["00000000010000000100000001000000", "2f30b4b50000000030191a6b00000000"],
    },
  ],
  [
    2n ** 64n - 1n,
    {
      python: [
        [2147483648, 2932382577, 2128964480, 1480405995],
        [1916751294, 861141058, 624],
      ],
      numpy: [
        [4294967295, 1340201581, 3941791902],
        [876078637, 3413567280],
      ],
      torch: ["ffffffffffffffff0100000001000000", "2de637340000000030e776cb00000000"],
    },
  ],
];

describe("a seeded rng_state.pth", () => {
  it.each(SEEDED)("has the states that Python, numpy and torch have after seed %s", async (seed, wanted) => {
    const state = await read(seededRngState(seed));
    const [version, words, gaussNext] = state.get("python") as readonly [number, readonly number[], null];
    expect([version, words.length, words.slice(0, 4), words.slice(-3), gaussNext]).toEqual([3, 625, ...wanted.python, null]);
    const [, array, ...rest] = state.get("numpy") as readonly [string, { state: readonly PickleValue[] }, number, number, number];
    const numpyWords = [...new Uint32Array((array.state[4] as Uint8Array).slice().buffer)];
    expect([numpyWords.slice(0, 3), numpyWords.slice(-2), rest]).toEqual([...wanted.numpy, [624, 0, 0]]);
    const cpu = state.get("cpu");
    if (!isTorchTensor(cpu)) throw new TypeError("expected a tensor");
    const bytes = Buffer.from(await cpu.source.read(0, 5056));
    expect([bytes.subarray(0, 16).toString("hex"), bytes.subarray(5000, 5016).toString("hex")]).toEqual(wanted.torch);
    expect(bytes.subarray(5016).every((byte) => byte === 0)).toBe(true);
  });

  it("seeds a GPU when asked", async () => {
    const cuda = (await read(seededRngState(258, { cuda: true }))).get("cuda");
    if (!isTorchTensor(cuda)) throw new TypeError("expected a tensor");
    expect([...(await cuda.source.read(0, 16))]).toEqual([2, 1, ...Array.from({ length: 14 }, () => 0)]);
  });

  it.each([-1, 0.5, 2n ** 64n])("refuses %s", (seed) => {
    expect(() => seededRngState(seed)).toThrow(InternalError);
  });
});

describe("scheduler.pt", () => {
  it("has no state of a schedule that is a plain function", async () => {
    const state = await read(lambdaLrStateDict({ baseLrs: [1], lastLrs: [1], lastEpoch: 3, lambda: "function" }));
    expect([state.get("lr_lambdas"), state.get("_step_count")]).toEqual([[null], 4]);
  });
});

describe("trainer_state.json", () => {
  const state: HfTrainerState = {
    bestGlobalStep: 2,
    bestMetric: 2,
    bestModelCheckpoint: "run/checkpoint-2",
    epoch: 1,
    evalSteps: 1,
    globalStep: 2,
    isHyperParamSearch: false,
    isLocalProcessZero: true,
    isWorldProcessZero: true,
    logHistory: [{ epoch: 1, eval_loss: 2, grad_norm: Number.NaN, learning_rate: 0.00001, num_input_tokens_seen: 64, step: 2 }],
    loggingSteps: 1,
    maxSteps: 2,
    numInputTokensSeen: 64,
    numTrainEpochs: 1,
    saveSteps: 1,
    statefulCallbacks: { TrainerControl: trainerControlState(true) },
    totalFlos: 0,
    trainBatchSize: 1,
    trialName: null,
    trialParams: { learning_rate: pyFloat(1), seed: 1 },
  };

  it("tells whole numbers from floats as Python does", () => {
    const text = serializeTrainerState(state);
    for (const line of [
      '"best_metric": 2.0',
      '"epoch": 1.0',
      '"eval_loss": 2.0',
      '"grad_norm": NaN',
      '"learning_rate": 1e-05',
      '"total_flos": 0.0',
    ])
      expect(text).toContain(line);
    for (const line of [
      '"step": 2\n',
      '"num_input_tokens_seen": 64,',
      '"learning_rate": 1.0,\n    "seed": 1\n',
      '"should_training_stop": true',
    ])
      expect(text).toContain(line);
  });
});
