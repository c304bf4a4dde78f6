// A training session as the benchmarks run it, from their settings; the only place that knows how one is put together.
import { type AdapterSpec, adapterSpec, type ResolvedAdapter, resolveTargets } from "../../src/adapter/index.ts";
import type { Runtime } from "../../src/compute/index.ts";
import { type BaseWeights, baseParameters, CausalModel, loadModelFolder, loraPlans, newAdapterParameters } from "../../src/engine/index.ts";
import { openModelFolder } from "../../src/folders/index.ts";
import { TrainingSession } from "../../src/train/index.ts";
import type { StepSettings } from "./step-settings.ts";

const ALPHA_PER_RANK = 2;
/** What the schedule is told; a constant rate does not depend on it. */
const MANY_STEPS = 1_000_000;

/** Reads the base of a process's settings. */
export async function openBase(settings: StepSettings): Promise<BaseWeights> {
  const folder = await openModelFolder(settings.model);
  const quantization = settings.quantization === "nf4" ? ({ type: "nf4", doubleQuant: true } as const) : null;
  try {
    return await loadModelFolder(folder, { quantization, cache: settings.cache });
  } finally {
    await folder.folder.close();
  }
}

function resolvedAdapter(settings: StepSettings, base: BaseWeights): { spec: AdapterSpec; resolved: ResolvedAdapter } | null {
  if (settings.train === "all") return null;
  const { rank, full } = settings;
  const spec = adapterSpec({ rank, alpha: ALPHA_PER_RANK * rank, targetModules: "all-linear", modulesToSave: full });
  return { spec, resolved: resolveTargets(base.spec, spec) };
}

/** A model to be trained, on a base that has been read. */
export async function openModel(settings: StepSettings, base: BaseWeights, runtime: Runtime): Promise<CausalModel> {
  const adapter = resolvedAdapter(settings, base);
  const parameters =
    adapter === null
      ? baseParameters(base.spec, (name) => base.values(name), settings.fullDtype)
      : await newAdapterParameters({ ...adapter, base, seed: 0, fullCopyDtype: settings.fullDtype });
  if (adapter !== null) base.release(new Set(parameters.flatMap(({ keys }) => keys)));
  const parts = {
    runtime,
    spec: base.spec,
    base,
    parameters,
    lora: adapter === null ? new Map() : loraPlans(adapter.resolved),
    dropout: 0,
    activations: settings.activations,
    memoryLimit: settings.memoryLimit,
    threads: settings.threads,
  };
  return new CausalModel(parts);
}

/** The session that trains it: AdamW, clipping at 1, a constant rate. */
export function openSession(settings: StepSettings, model: CausalModel): TrainingSession {
  const { rate, embeddingRatio, optimizer } = settings;
  const embeddings = { name: "embeddings", match: ["embed_tokens"], learningRate: rate * embeddingRatio, weightDecay: 0 };
  const training = {
    weightDecay: 0.01,
    betas: [0.9, 0.999] as const,
    epsilon: 1e-8,
    maxGradNorm: 1,
    lossNormalization: "token" as const,
    seed: 0,
    optimizer,
  };
  return new TrainingSession(model, {
    groups: settings.full.includes("embed_tokens") ? [embeddings] : [],
    learningRate: rate,
    schedule: { name: "constant", steps: MANY_STEPS, warmupSteps: 0 },
    training: { ...training, betas: [...training.betas] as [number, number] },
  });
}
