// Ledgers: predicted from the configuration, read from headers, observed in a live session, and
// the names that PEFT recorded, all against each other.
import { adapterTensors, resolveTargets } from "../../src/adapter/index.ts";
import { compareLedgers, describeDifference, type Ledger, type PredictOptions, predictLedger, readLedger } from "../../src/ledger/index.ts";
import { type ModelSpec, modelParameters } from "../../src/model/index.ts";
import { observeSession, type SessionPlan, TrainingSession } from "../../src/train/index.ts";
import type { Measure } from "./check.ts";
import { sameList } from "./compare.ts";
import { has, readTensors } from "./files.ts";
import { type LoadedAdapter, type LoadedBase, type Quantization, readSpec, withModel } from "./scene.ts";

/** A tensor as a line: name and shape. */
export function line(name: string, shape: readonly number[]): string {
  return `${name} [${shape.join(", ")}]`;
}

/** A table `name → shape` of the vectors as lines. */
export function lines(table: Readonly<Record<string, readonly number[]>>): string[] {
  return Object.entries(table).map(([name, shape]) => line(name, shape));
}

function ledgerMeasure(what: string, expected: Ledger, actual: Ledger): Measure {
  const differences = compareLedgers(expected, actual);
  const [first] = differences;
  return {
    what: `${what} (differences)`,
    error: differences.length,
    tolerance: 0,
    ...(first === undefined ? {} : { detail: describeDifference(first) }),
  };
}

/** The trainable tensors of a ledger as lines, in order. */
export function trainableLines(ledger: Ledger): string[] {
  return ledger.entries.filter(({ trainable }) => trainable).map(({ name, shape }) => line(name, shape));
}

function predictOptions(quantization: Quantization): PredictOptions {
  return { baseDtype: "F32", quantization };
}

/** The ledger that the configurations predict. */
export function predicted(spec: ModelSpec, adapter: LoadedAdapter, quantization: Quantization): Ledger {
  return predictLedger(spec, adapter.spec, [], predictOptions(quantization));
}

/** Both spellings of a configuration mean the same model, and the weights have its parameters. */
export async function baseLedger(folder: string): Promise<Measure[]> {
  const spec = await readSpec(folder);
  const measures: Measure[] = [];
  if (has(folder, "config.legacy.json")) {
    const meaning = (model: ModelSpec): string[] =>
      Object.entries({ ...model, raw: null }).map(([key, value]) => `${key}: ${JSON.stringify(value)}`);
    measures.push(sameList("config.json and config.legacy.json", meaning(spec), meaning(await readSpec(folder, "config.legacy.json"))));
  }
  if (has(folder, "model.safetensors") && spec.quantization === null) {
    const file = await readTensors(folder, "model.safetensors");
    const own = modelParameters(spec).filter(({ tiedTo }) => tiedTo === undefined);
    measures.push(
      sameList(
        "the base's tensors",
        [...file.tensors.values()].map(({ name, shape }) => line(name, shape)).sort(),
        own.map(({ name, shape }) => line(name, shape)).sort(),
      ),
    );
  }
  return measures;
}

/** An adapter's file has the tensors that its configuration asks for, and says the same ledger. */
export function adapterLedger(spec: ModelSpec, adapter: LoadedAdapter, quantization: Quantization): Measure[] {
  const stored = [...adapter.tensors.tensors.values()];
  const resolved = adapterTensors(resolveTargets(spec, adapter.spec));
  const read = readLedger({ tensors: stored, config: adapter.config, spec, baseDtype: "F32", quantization });
  const want = predicted(spec, adapter, quantization);
  return [
    sameList(
      "the adapter's tensors on disk",
      stored.map(({ name, shape }) => line(name, shape)).sort(),
      resolved.map(({ name, shape }) => line(name, shape)).sort(),
    ),
    ledgerMeasure("ledger read against predicted", want, read),
    sameList(
      "order of the read ledger",
      want.entries.map(({ name }) => name),
      read.entries.map(({ name }) => name),
    ),
  ];
}

/** A plan whose only purpose is that every tensor gets a slot. */
const ANY_PLAN: SessionPlan = {
  groups: [],
  learningRate: 0,
  schedule: { name: "constant", steps: 1, warmupSteps: 0 },
  training: {
    optimizer: "adamw",
    weightDecay: 0,
    betas: [0.9, 0.999],
    epsilon: 1e-8,
    maxGradNorm: null,
    lossNormalization: "token",
    seed: 0,
  },
};

/** What is live when the adapter is loaded and trained: gradient outputs and optimizer slots. */
export function observedLedger(
  base: LoadedBase,
  adapter: LoadedAdapter,
  batch: number,
  sequence: number,
): Promise<{ measure: Measure; trainable: string[] }> {
  return withModel(base, adapter, async ({ model }) => {
    const session = new TrainingSession(model, ANY_PLAN);
    const observed = await observeSession(model, session.optimizer, batch, sequence);
    const want = predicted(base.spec, adapter, base.quantization);
    return { measure: ledgerMeasure("ledger observed against predicted", want, observed), trainable: trainableLines(observed) };
  });
}
