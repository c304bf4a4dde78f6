// The heap over many training steps: what is in use after a collection, and how many large collections V8 made by itself.
//
//   node --expose-gc --import ./tools/register-typescript.mjs bench/steps/flat-heap.ts --model DIR [--steps 200]
import { constants, PerformanceObserver } from "node:perf_hooks";
import { setImmediate as nextTurn } from "node:timers/promises";
import { loadRuntime } from "../../src/compute/index.ts";
import { InternalError } from "../../src/core/index.ts";
import { stepBatches } from "./step-batches.ts";
import { openBase, openModel, openSession } from "./step-session.ts";
import { readStepSettings } from "./step-settings.ts";

/** Steps between two looks. */
const EVERY = 10;

const settings = readStepSettings();
const collect = globalThis.gc;
if (collect === undefined) throw new InternalError("expected node --expose-gc");
const base = await openBase(settings);
const session = openSession(settings, await openModel(settings, base, await loadRuntime()));
const batches = stepBatches(settings, session.model.spec.vocabSize);

let [major, minor, forced] = [0, 0, 0];
const observer = new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    // Node's types leave out what entries of collections have beyond the web's.
    const { kind, flags } = (entry as unknown as { detail: { kind: number; flags: number } }).detail;
    if ((flags & constants.NODE_PERFORMANCE_GC_FLAGS_FORCED) !== 0) forced++;
    else if (kind === constants.NODE_PERFORMANCE_GC_MAJOR) major++;
    else if (kind === constants.NODE_PERFORMANCE_GC_MINOR) minor++;
  }
});

const looks: { step: number; heapKib: number; arraysKib: number }[] = [];
for (const [index, batch] of batches.entries()) {
  if (index === settings.warmup) observer.observe({ entryTypes: ["gc"] });
  await session.update([batch], index + 1);
  if (index < settings.warmup || (index + 1 - settings.warmup) % EVERY !== 0) continue;
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  looks.push({ step: index + 1 - settings.warmup, heapKib: Math.round(heapUsed / 1024), arraysKib: Math.round(arrayBuffers / 1024) });
}
await nextTurn(); // the observer hears of the last collections
await nextTurn();
const peak = Math.round(process.resourceUsage().maxRSS / 1024);
process.stdout.write(`${JSON.stringify({ looks, major, minor, forced, peak_rss_mib: peak })}\n`);
