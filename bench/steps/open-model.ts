// From a folder of weights to the first forward pass: prints the seconds until the first graph runs.
//
//   node --import ./tools/register-typescript.mjs bench/steps/open-model.ts --model DIR [--quantization nf4|none] [--cache off] …
import { loadRuntime, type Runtime } from "../../src/compute/index.ts";
import { stepBatches } from "./step-batches.ts";
import { openBase, openModel, openSession } from "./step-session.ts";
import { readStepSettings } from "./step-settings.ts";

const settings = readStepSettings();
const began = performance.now();
let firstRun: number | undefined;

/** The runtime, with programs that note when the first of them is run. */
function noticing(runtime: Runtime): Runtime {
  return {
    ...runtime,
    async compile(graph, options) {
      const program = await runtime.compile(graph, options);
      const run = program.run.bind(program);
      return Object.assign(program, {
        run: (...given: Parameters<typeof run>) => {
          firstRun ??= performance.now();
          return run(...given);
        },
      });
    },
  };
}

const runtime = noticing(await loadRuntime());
const base = await openBase(settings);
const read = performance.now();
const session = openSession(settings, await openModel(settings, base, runtime));
await session.update(stepBatches({ ...settings, warmup: 0, steps: 1 }, session.model.spec.vocabSize), 1);
const result = {
  seconds: ((firstRun ?? Number.NaN) - began) / 1000,
  seconds_of_reading: (read - began) / 1000,
  seconds_since_start: (firstRun ?? Number.NaN) / 1000,
  peak_rss_mib: Math.round(process.resourceUsage().maxRSS / 1024),
};
process.stdout.write(`${JSON.stringify(result)}\n`);
