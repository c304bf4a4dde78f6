// One configuration of our own training step, in one process: prints the JSON object that the side-by-side benchmark reads.
//
//   node --import ./tools/register-typescript.mjs bench/steps/own-step.ts --model DIR [--batch 2] [--seq 512] [--rank 16]
//        [--steps 5] [--warmup 1] [--activations keep|recompute] [--cache auto|on|off] [--threads N] [--profile]
//
// A step is what the PyTorch baseline times: forward, backward, clipping and AdamW on full rows of random tokens, all
// labelled, over an NF4 base with double quantization.
import { parseArgs } from "node:util";
import { adapterSpec, resolveTargets } from "../../src/adapter/index.ts";
import { loadRuntime } from "../../src/compute/index.ts";
import { RandomStream } from "../../src/core/index.ts";
import type { MicroBatch } from "../../src/data/index.ts";
import { type CachePolicy, CausalModel, loadModelFolder, loraPlans, newAdapterParameters } from "../../src/engine/index.ts";
import { openModelFolder } from "../../src/folders/index.ts";
import { TrainingSession } from "../../src/train/index.ts";

const { values: flags } = parseArgs({
  options: {
    model: { type: "string" },
    batch: { type: "string", default: "2" },
    seq: { type: "string", default: "512" },
    rank: { type: "string", default: "16" },
    steps: { type: "string", default: "5" },
    warmup: { type: "string", default: "1" },
    activations: { type: "string", default: "keep" },
    cache: { type: "string", default: "auto" },
    threads: { type: "string" },
  },
});

const [batch, sequence, rank, steps, warmup] = [flags.batch, flags.seq, flags.rank, flags.steps, flags.warmup].map(Number) as [
  number,
  number,
  number,
  number,
  number,
];

/** Full rows of random tokens, all labelled: `batch × (sequence − 1)` labels, as in PyTorch after the shift. */
function randomBatch(vocabSize: number, stream: RandomStream): MicroBatch {
  const size = batch * sequence;
  const inputIds = Int32Array.from({ length: size }, () => stream.nextInt(vocabSize));
  return {
    batch,
    sequence,
    inputIds,
    labels: inputIds,
    positions: Int32Array.from({ length: size }, (_, i) => i % sequence),
    segments: new Int32Array(size).fill(1),
    tokenCount: size,
    labelTokenCount: batch * (sequence - 1),
    examples: [],
  };
}

async function buildSession(): Promise<TrainingSession> {
  const folder = await openModelFolder(flags.model ?? "");
  const base = await loadModelFolder(folder, { quantization: { type: "nf4", doubleQuant: true }, cache: flags.cache as CachePolicy });
  await folder.folder.close();
  const spec = adapterSpec({ rank, alpha: 2 * rank, targetModules: "all-linear" });
  const resolved = resolveTargets(folder.spec, spec);
  const parameters = await newAdapterParameters({ spec, resolved, base, seed: 0, fullCopyDtype: "F32" });
  const model = new CausalModel({
    runtime: await loadRuntime(),
    spec: folder.spec,
    base,
    parameters,
    lora: loraPlans(resolved),
    dropout: 0,
    activations: flags.activations as "keep" | "recompute",
    threads: flags.threads === undefined ? null : Number(flags.threads),
  });
  return new TrainingSession(model, {
    groups: [],
    learningRate: 1e-4,
    schedule: { name: "constant", steps: steps + warmup, warmupSteps: 0 },
    training: { weightDecay: 0.01, betas: [0.9, 0.999], epsilon: 1e-8, maxGradNorm: 1, lossNormalization: "token", seed: 0 },
  });
}

const session = await buildSession();
const stream = new RandomStream(0, "bench");
const seconds: number[] = [];
const losses: number[] = [];
for (let step = 1; step <= warmup + steps; step++) {
  const batches = [randomBatch(session.model.spec.vocabSize, stream)];
  const began = performance.now();
  const { loss } = await session.update(batches, step);
  if (step > warmup) {
    seconds.push((performance.now() - began) / 1000);
    losses.push(loss);
  }
}
const total = seconds.reduce((sum, s) => sum + s, 0);
const result = {
  tokens_per_s: (steps * batch * sequence) / total,
  step_s: seconds.map((s) => Number(s.toFixed(3))),
  losses,
  peak_rss_mib: Math.round(process.resourceUsage().maxRSS / 1024),
  trainable_parameters: session.model.weights.trained.reduce((sum, { values }) => sum + values.length, 0),
  versions: { node: process.versions.node },
};
process.stdout.write(`${JSON.stringify(result)}\n`);
