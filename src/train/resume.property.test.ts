import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ARCHITECTURES, featuresOf, modelOptions, type RandomBase, type RandomRun, randomRun, stopSteps } from "./fixtures/random-run.ts";
import { keptFiles } from "./fixtures/run-files.ts";
import { failure, interrupt, losses, results, stopAfter, TinyWorkshop, type Told, tinyRows } from "./fixtures/tiny-run.ts";

type Values = Readonly<Record<string, unknown>>;

/** 26 is the first whose runs have every choice in them; another one, or more runs, to look for what these do not show. */
const SEED = Number(process.env["HEIRLOOM_TEST_SEED"] ?? 26);
const RUNS_PER_ARCHITECTURE = Number(process.env["HEIRLOOM_TEST_RUNS"] ?? 8);
/** Runs that a failure is made smaller with: more would go beyond the test's time. */
const MAX_SHRINKS = 25;
let workshop: TinyWorkshop;

beforeAll(async () => {
  workshop = await TinyWorkshop.open();
});
afterAll(() => workshop.close());

const CASES: readonly (readonly [string, Values, number])[] = [
  ["an adapter with full copies, in its warm-up", { training: { warmupSteps: 2 } }, 1],
  [
    "dropout, packing, accumulation and bf16 copies, between two epochs",
    {
      adapter: { dropout: 0.2, fullCopyDtype: "bf16" },
      training: { batchSize: 1, accumulation: 2, weightDecay: 0.01 },
      data: { maxLength: 32 },
    },
    2,
  ],
  [
    "unpacked batches and recomputation",
    { data: { packing: false }, training: { batchSize: 5, accumulation: 2 }, engine: { activations: "recompute" } },
    3,
  ],
  ["all weights of the base", { quantization: "none", fullParameter: true, adapter: "none", training: { groups: [] } }, 2],
];

describe("a resumed run", () => {
  test.each(CASES)("ends in the same bytes as one that was never interrupted: %s", async (_what, values, step) => {
    const whole = await workshop.train(values);
    const first = await interrupt(workshop, values, step);
    const rest = await workshop.resume(first.checkpoint);
    expect([...first.losses, ...losses(rest.events)]).toEqual(losses(whole.events));
    expect(rest.result.tokens).toBe(whole.result.tokens);
    expect(results(rest)).toEqual(results(whole));
  });
});

/** Folder of a tiny base, made when it is first asked for. */
const bases = new Map<string, Promise<string>>();
function baseFolder(base: RandomBase): Promise<string> {
  const name = `${base.architecture}-${base.dtype}-${base.tied ? "tied" : "untied"}`;
  const made = bases.get(name) ?? workshop.model(name, modelOptions(base));
  bases.set(name, made);
  return made;
}

/** Goes on with a run that has been interrupted, is interrupted again at these updates, and then ends. */
async function goOn(checkpoint: string, stops: readonly number[]): Promise<{ rest: Told; losses: number[] }> {
  const seen: number[] = [];
  let from = checkpoint;
  for (const step of stops) {
    const stop = stopAfter(step);
    const error = await failure(
      workshop.resume(from, {
        ...stop,
        onEvent(event) {
          if (event.type === "step") seen.push(event.loss);
          stop.onEvent?.(event);
        },
      }),
    );
    if (error.code !== "INTERRUPTED") throw error;
    from = join(checkpoint, ".."); // by the run this time: its last checkpoint is the one just written
  }
  const rest = await workshop.resume(from);
  return { rest, losses: [...seen, ...losses(rest.events)] };
}

async function resumesExactly(run: RandomRun): Promise<void> {
  const values = {
    ...run.values,
    base: await baseFolder(run.base),
    training: { learningRate: 0.01, ...(run.values["training"] as Values) },
  };
  // The workshop's own `steps` would be a second length beside `epochs`.
  const { steps: given = null } = values.training as { steps?: number };
  const complete = { ...values, training: { ...values.training, steps: given } };
  const whole = await workshop.train(complete);
  const [stop = 1, ...more] = stopSteps(run, whole.result.steps);
  const first = await interrupt(workshop, complete, stop);
  const { rest, losses: later } = await goOn(first.checkpoint, more);
  expect([...first.losses, ...later], "losses").toEqual(losses(whole.events));
  const { steps, tokens, evaluations } = whole.result;
  expect(rest.result).toMatchObject({ steps, tokens, evaluations });
  const [expected, found] = [keptFiles(whole.result.run), keptFiles(rest.result.run)];
  // What an interruption adds or what retention takes away for it are checkpoints; the last one is never among them.
  const common = Object.keys(expected).filter(
    (name) => name in found || !name.startsWith("checkpoint-") || name.startsWith(`checkpoint-${steps}/`),
  );
  for (const name of common) expect(found[name], name).toEqual(expected[name]);
}

describe("any run that is interrupted at any update, once or twice, and resumed ends in the bytes of one that never was", () => {
  const seen = new Set<string>();
  beforeAll(() => void workshop.write("train.jsonl", tinyRows(10)));

  test.each(ARCHITECTURES)("on a base of architecture %s", async (architecture) => {
    let failures = 0;
    const body = async (run: RandomRun): Promise<void> => {
      if (failures > 0 && ++failures > MAX_SHRINKS) return;
      for (const feature of featuresOf(run)) seen.add(feature);
      await resumesExactly(run).catch((error: unknown) => {
        failures ||= 1;
        throw error;
      });
    };
    await fc.assert(fc.asyncProperty(randomRun(architecture), body), { seed: SEED, numRuns: RUNS_PER_ARCHITECTURE });
  });

  test("whatever it is made of: no choice was left out", () => {
    const possible = ARCHITECTURES.flatMap((architecture) =>
      fc.sample(randomRun(architecture), { seed: 1, numRuns: 400 }).flatMap(featuresOf),
    );
    expect([...new Set(possible)].filter((feature) => !seen.has(feature))).toEqual([]);
  });
});
