import { adapterSpec, resolveTargets } from "../../adapter/index.ts";
import { type MachineSpeed, planModel } from "../../audit/plan/index.ts";
import { loadRuntime } from "../../compute/index.ts";
import { memorySource, RandomStream } from "../../core/index.ts";
import type { MicroBatch } from "../../data/index.ts";
import { type BaseWeights, CausalModel, loadBaseWeights, loraPlans, newAdapterParameters } from "../../engine/index.ts";
import { encodeSafetensors, openSafetensors } from "../../formats/index.ts";
import { type ModelSpec, modelParameters } from "../../model/index.ts";
import { filled } from "../calibrate.ts";
import { TrainingSession } from "../session.ts";
import type { MeasuredStep } from "./api.ts";
import { benchConfig, RANK } from "./estimates.ts";
import { MEASURED_MODEL, specOf } from "./known-models.ts";

/** Tokens of the measured step. */
const SHAPE = { batchSize: 1, sequence: 512 };
/** Steps after the first, which compiles: as many as fit into this time, at least three. */
const BUDGET_MS = 4000;
const FEWEST_STEPS = 3;

/** Weights of no meaning, as a file in memory. */
async function smallBase(spec: ModelSpec): Promise<BaseWeights> {
  const tensors = modelParameters(spec).flatMap(({ name, shape, tiedTo }) => {
    if (tiedTo !== undefined) return [];
    const values = filled(shape.reduce((product, size) => product * size, 1)).map((value) => value / 10);
    return [{ name, shape, dtype: "F32" as const, chunks: () => [new Uint8Array(values.buffer)] }];
  });
  const chunks: Uint8Array[] = [];
  for await (const chunk of encodeSafetensors(tensors)) chunks.push(chunk);
  const file = await openSafetensors(memorySource(Buffer.concat(chunks), "model.safetensors"));
  return loadBaseWeights(file, spec, { quantization: { type: "nf4", doubleQuant: true }, cache: "off" });
}

async function smallSession(spec: ModelSpec, threads: number | null): Promise<TrainingSession> {
  const { training, engine } = benchConfig("qlora", spec, SHAPE, threads);
  const base = await smallBase(spec);
  const adapter = adapterSpec({ rank: RANK, alpha: 2 * RANK, targetModules: "all-linear" });
  const resolved = resolveTargets(spec, adapter);
  const model = new CausalModel({
    runtime: await loadRuntime(),
    spec,
    base,
    parameters: await newAdapterParameters({ spec: adapter, resolved, base, seed: 0, fullCopyDtype: "F32" }),
    lora: loraPlans(resolved),
    dropout: 0,
    activations: engine.activations,
    threads,
  });
  const schedule = { name: "constant" as const, steps: 1, warmupSteps: 0 };
  return new TrainingSession(model, { groups: [], learningRate: training.learningRate, schedule, training });
}

/** A full row of tokens, all labelled. */
function randomBatch(vocabSize: number): MicroBatch {
  const { batchSize: batch, sequence } = SHAPE;
  const size = batch * sequence;
  const stream = new RandomStream(0, "bench");
  const inputIds = Int32Array.from({ length: size }, () => stream.nextInt(vocabSize));
  const positions = Int32Array.from({ length: size }, (_, i) => i % sequence);
  const segments = new Int32Array(size).fill(1);
  return {
    batch,
    sequence,
    inputIds,
    labels: inputIds,
    positions,
    segments,
    tokenCount: size,
    labelTokenCount: size - batch,
    examples: [],
  };
}

async function medianStep(session: TrainingSession, stopRequested: () => boolean): Promise<number> {
  const batches = [randomBatch(session.model.spec.vocabSize)];
  const times: number[] = [];
  await session.update(batches, 1); // compiles
  const began = performance.now();
  while ((times.length < FEWEST_STEPS || performance.now() - began < BUDGET_MS) && !stopRequested()) {
    const start = performance.now();
    await session.update(batches, times.length + 2);
    times.push((performance.now() - start) / 1000);
  }
  return times.sort((a, b) => a - b)[Math.floor(times.length / 2)] ?? 0;
}

/** Measures a QLoRA step of a small model, and what share of the products' rate it reaches. */
export async function measureStep(speed: MachineSpeed, threads: number | null, stopRequested: () => boolean): Promise<MeasuredStep> {
  const spec = specOf(MEASURED_MODEL);
  const session = await smallSession(spec, threads);
  try {
    const seconds = await medianStep(session, stopRequested);
    // The plan's other parts are measured rates already; what is left of the time is the products'.
    const config = benchConfig("qlora", spec, SHAPE, threads);
    const withoutCache = { ...config, engine: { ...config.engine, dequantizedCache: "off" as const } };
    const { time } = await planModel(withoutCache, spec, {
      memoryBytes: Number.MAX_SAFE_INTEGER,
      speed: () => Promise.resolve({ ...speed, stepEfficiency: 1 }),
    });
    const { products = 0, optimizer = 0, dequantization = 0 } = time ?? {};
    const efficiency = products / Math.max(seconds - optimizer - dequantization, products / 2);
    const tokens = SHAPE.batchSize * SHAPE.sequence;
    return { model: MEASURED_MODEL.name, tokens, seconds, tokensPerSecond: tokens / seconds, efficiency };
  } finally {
    await session.model.dispose();
  }
}
