// Rows about parts of a step: the optimizer's update, and the heap over many steps.
import { rounded } from "../steps/report.ts";
import { median } from "./figures.ts";
import { randomModel } from "./models.ts";
import { alternateObserved, ownProcess } from "./processes.ts";
import type { Side, SpeedRow } from "./row.ts";

/** Parameters per second of each process, the median update; in millions. */
function millionsPerSecond({ results }: Pick<Side, "results">): number {
  const rates = results.map(({ output }) => Number(output["parameters"]) / median(output["seconds"] as number[]));
  return rounded(median(rates) / 1e6, 1);
}

const OPTIMIZER: SpeedRow = {
  name: "adamw-135m",
  title: "AdamW over the 134.5 million fp32 parameters of SmolLM2-135M's shape (asked: over 100 million)",
  minutes: 4,
  defaults: { batch: 1, seq: 32, steps: 10, warmup: 2, rounds: 5 },
  targets: [{ figure: "millionParametersPerSecond", better: "more", asked: 400 }],
  async measure(settings) {
    const model = settings.model === "" ? randomModel(settings, 16) : settings.model;
    const { batch, seq, steps, warmup, threads } = settings;
    const process = (optimizer: string): string[] =>
      ownProcess("bench/steps/optimizer-rate.ts", { model, batch, seq, steps, warmup, threads, optimizer });
    const sides = await alternateObserved({ adamw: process("adamw"), adamw8bit: process("adamw8bit") }, settings.rounds);
    const known = sides.adamw8bit.results.every(({ output }) => output["optimizer"] === "adamw8bit");
    return {
      figures: {
        millionParametersPerSecond: millionsPerSecond(sides.adamw),
        millionParametersPerSecond8bit: known ? millionsPerSecond(sides.adamw8bit) : null,
        parameters: Number(sides.adamw.results[0]?.output["parameters"]),
      },
      sides,
      method:
        "One real update of all parameters makes the gradients; then the optimizer's update is called by itself, again and again, and timed. " +
        "Median of each process, median of those.",
      ...(known ? {} : { notes: ["This version has no adamw8bit: its figure is left out."] }),
    };
  },
};

interface Look {
  readonly step: number;
  readonly heapKib: number;
  readonly arraysKib: number;
}

const HEAP: SpeedRow = {
  name: "flat-heap",
  title: "The heap over 200 steps",
  minutes: 3,
  defaults: { config: "bench/configs/tiny.json", batch: 2, seq: 128, steps: 200, warmup: 10, rounds: 1 },
  targets: [],
  async measure(settings) {
    const model = settings.model === "" ? randomModel(settings, 16) : settings.model;
    const { batch, seq, steps, warmup, threads, activations } = settings;
    const flags = { model, batch, seq, steps, warmup, threads, activations, cache: "off" };
    const sides = await alternateObserved({ heirloom: ownProcess("bench/steps/flat-heap.ts", flags, ["--expose-gc"]) }, settings.rounds);
    const outputs = sides.heirloom.results.map(({ output }) => output);
    const grown = (of: (look: Look) => number): number =>
      median(
        outputs.map((output) => {
          const looks = output["looks"] as Look[];
          const [first, last] = [looks[Math.floor(looks.length / 4)] as Look, looks.at(-1) as Look];
          return of(last) - of(first);
        }),
      );
    const count = (name: string): number => median(outputs.map((output) => Number(output[name])));
    return {
      figures: {
        heapGrowthKib: grown(({ heapKib }) => heapKib),
        arraysGrowthKib: grown(({ arraysKib }) => arraysKib),
        majorCollections: count("major"),
        minorCollections: count("minor"),
      },
      sides,
      method:
        "After every tenth step a full collection is forced, and what is then in use is noted: V8's heap, and array buffers. Growth is from a " +
        "quarter of the steps to the last. Collections are those that V8 made by itself between the forced ones, after the warm-up.",
    };
  },
};

export const SMALL_ROWS: readonly SpeedRow[] = [OPTIMIZER, HEAP];
