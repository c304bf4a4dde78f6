// How many parameters an optimizer updates in a second: all of a model in fp32, after one real update has made gradients.
//
//   node --import ./tools/register-typescript.mjs bench/steps/optimizer-rate.ts --model DIR [--optimizer adamw] [--steps 10]
import { loadRuntime } from "../../src/compute/index.ts";
import { stepBatches } from "./step-batches.ts";
import { openBase, openModel, openSession } from "./step-session.ts";
import { readStepSettings } from "./step-settings.ts";

const settings = { ...readStepSettings(), train: "all" as const, quantization: "none" as const };
const base = await openBase(settings);
const session = openSession(settings, await openModel(settings, base, await loadRuntime()));
await session.update(stepBatches({ ...settings, warmup: 0, steps: 1 }, session.model.spec.vocabSize), 1);
const parameters = session.model.weights.trained.reduce((sum, { shape }) => sum + shape.reduce((n, size) => n * size, 1), 0);
const seconds: number[] = [];
for (let step = 2; step < 2 + settings.warmup + settings.steps; step++) {
  const began = performance.now();
  await session.optimizer.update(session.learningRates(step), 1, () => undefined); // all masters are fp32
  if (step >= 2 + settings.warmup) seconds.push((performance.now() - began) / 1000);
}
const [optimizer, peak] = [session.optimizer.name, Math.round(process.resourceUsage().maxRSS / 1024)];
process.stdout.write(`${JSON.stringify({ optimizer, parameters, seconds, peak_rss_mib: peak })}\n`);
