// One configuration of our own training step, in one process: prints the JSON object that the side-by-side benchmarks read.
//
//   node --import ./tools/register-typescript.mjs bench/steps/own-step.ts --model DIR [--batch 2] [--seq 512] [--rank 16]
//        [--steps 5] [--warmup 1] [--activations keep|recompute] [--cache auto|on|off] [--threads N] [--bound beside] …
//
// All flags are in step-settings.ts. A step is what the PyTorch baseline times: forward, backward, clipping and AdamW.
import { loadRuntime, type Runtime } from "../../src/compute/index.ts";
import type { MicroBatch } from "../../src/data/index.ts";
import type { TrainingSession } from "../../src/train/index.ts";
import { AttentionTime } from "./attention-time.ts";
import { GemmBound } from "./gemm-bound.ts";
import { type MovedReport, watchValues } from "./moved-values.ts";
import { stepBatches } from "./step-batches.ts";
import { stepProducts } from "./step-products.ts";
import { openBase, openModel, openSession } from "./step-session.ts";
import { readStepSettings } from "./step-settings.ts";

/** How often the products of a step are run after all steps. */
const BOUND_RUNS = 3;

const settings = readStepSettings();

const peakRssMib = (): number => Math.round(process.resourceUsage().maxRSS / 1024);

/** Measures the products of a step like `batch`. */
function prepareBound(runtime: Runtime, session: TrainingSession, batch: MicroBatch): Promise<GemmBound> {
  const products = stepProducts(session.model.spec, {
    tokens: batch.tokenCount,
    labelled: batch.labelTokenCount,
    trainsBelow: settings.full.includes("embed_tokens") || settings.train === "all",
    recomputes: settings.activations === "recompute",
  });
  return GemmBound.prepare(runtime, products, settings.boundBytes, settings.threads);
}

interface Measured {
  readonly seconds: readonly number[];
  readonly losses: readonly number[];
  readonly tokens: number;
  readonly peakRssMib: number;
  readonly moved: MovedReport | null;
  readonly bound: Readonly<Record<string, unknown>> | null;
}

async function measure(session: TrainingSession, runtime: Runtime): Promise<Measured> {
  const batches = stepBatches(settings, session.model.spec.vocabSize);
  const measured = batches.slice(settings.warmup);
  const watch = settings.moved ? watchValues(session.model.weights.trained, session.model.spec.vocabSize) : null;
  const beside = settings.bound === "beside" ? await prepareBound(runtime, session, measured[0] as MicroBatch) : null;
  await beside?.run(); // page faults and sleeping threads
  const [seconds, losses, boundSeconds]: [number[], number[], number[]] = [[], [], []];
  for (const [index, batch] of batches.entries()) {
    const began = performance.now();
    const { loss } = await session.update([batch], index + 1);
    if (index < settings.warmup) continue;
    seconds.push((performance.now() - began) / 1000);
    losses.push(loss);
    if (beside !== null) boundSeconds.push(await beside.run());
  }
  const peak = peakRssMib();
  const moved = watch?.(batches) ?? null;
  const after = settings.bound === "after" ? await prepareBound(runtime, session, measured[0] as MicroBatch) : null;
  if (after !== null) for (let run = 0; run < BOUND_RUNS; run++) boundSeconds.push(await after.run());
  const bound = beside ?? after;
  return {
    seconds,
    losses,
    tokens: measured.reduce((sum, { tokenCount }) => sum + tokenCount, 0),
    peakRssMib: peak,
    moved,
    bound: bound === null ? null : { seconds: boundSeconds, flops: bound.flops, weights: bound.weights },
  };
}

const attention = settings.attention ? new AttentionTime() : null;
const runtime = await loadRuntime({}, attention?.importPeer);
const base = await openBase(settings);
const session = openSession(settings, await openModel(settings, base, runtime));
const { seconds, losses, tokens, moved, bound, peakRssMib: peak } = await measure(session, runtime);
const result = {
  tokens_per_s: tokens / seconds.reduce((sum, s) => sum + s, 0),
  step_s: seconds.map((s) => Number(s.toFixed(3))),
  losses,
  peak_rss_mib: peak,
  trainable_parameters: session.model.weights.trained.reduce((sum, { shape }) => sum + shape.reduce((n, size) => n * size, 1), 0),
  tokens,
  optimizer: session.optimizer.name,
  ...(moved === null ? {} : { moved }),
  ...(bound === null ? {} : { bound }),
  ...(attention === null ? {} : { attention_s: attention.end(settings.warmup / (settings.warmup + settings.steps)) / settings.steps }),
  versions: { node: process.versions.node, onnxruntime: runtime.version, output_copy: runtime.outputCopy },
};
process.stdout.write(`${JSON.stringify(result)}\n`);
