// How a step grows with its tokens: time without attention, and memory, one row and packed.
import { rounded } from "../steps/report.ts";
import { fitLine, median, peakRssMib } from "./figures.ts";
import { randomModel } from "./models.ts";
import { alternate, ownStep } from "./processes.ts";
import type { Measurement, Side, SpeedRow } from "./row.ts";
import type { SpeedSettings } from "./settings.ts";

interface Point {
  readonly tokens: number;
  readonly stepSeconds: number;
  readonly attentionSeconds: number;
  readonly rssMib: number;
}

function pointOf(tokens: number, side: Pick<Side, "results">): Point {
  const steps = side.results.map(({ output }) => median(output["step_s"] as number[]));
  return {
    tokens,
    stepSeconds: median(steps),
    attentionSeconds: median(side.results.map(({ output }) => output["attention_s"] as number)),
    rssMib: peakRssMib(side),
  };
}

function describe(title: string, points: readonly Point[]): string {
  const cells = points.map(
    ({ tokens, stepSeconds, attentionSeconds, rssMib }) =>
      `${tokens}: ${stepSeconds.toFixed(2)} s, of it attention ${attentionSeconds.toFixed(2)} s, ${rssMib.toFixed(0)} MiB`,
  );
  return `${title}: ${cells.join("; ")}.`;
}

async function measureScaling(settings: SpeedSettings): Promise<Measurement> {
  const model = settings.model === "" ? randomModel(settings, 16) : settings.model;
  const lengths = settings.lengths.split(",").map(Number);
  const step = (tokens: number, segment: number): string[] =>
    ownStep({ ...settings, batch: 1, seq: tokens }, model, { segment, attention: true });
  const commands: Record<string, string[]> = {};
  for (const tokens of lengths) {
    commands[`one row of ${tokens}`] = step(tokens, 0);
    commands[`${tokens} packed`] = step(tokens, settings.segment);
  }
  const sides = await alternate(commands, settings.rounds);
  const points = (name: (tokens: number) => string): Point[] =>
    lengths.map((tokens) => pointOf(tokens, sides[name(tokens)] ?? { results: [] }));
  const [row, packed] = [points((tokens) => `one row of ${tokens}`), points((tokens) => `${tokens} packed`)];
  const time = (all: readonly Point[]) => fitLine(all.map((p) => [p.tokens, p.stepSeconds - p.attentionSeconds] as const));
  const memory = (all: readonly Point[]) => fitLine(all.map((p) => [p.tokens, p.rssMib] as const));
  return {
    figures: {
      deviation: time(row).largestDeviation,
      deviationPacked: time(packed).largestDeviation,
      memoryDeviation: memory(row).largestDeviation,
      memoryDeviationPacked: memory(packed).largestDeviation,
      msPerToken: rounded(1000 * time(row).perUnit),
      msPerTokenPacked: rounded(1000 * time(packed).perUnit),
      kibPerToken: rounded(1024 * memory(row).perUnit, 1),
      kibPerTokenPacked: rounded(1024 * memory(packed).perUnit, 1),
    },
    sides,
    method:
      "Every length in a fresh process, one row of so many tokens or a row of segments; a step's median time less the time of attention in it, as " +
      "ONNX Runtime's profiler has it in the same steps (kernels of the blocks that read or write tensors with a dimension for heads, " +
      "without the warm-up). The line is fitted by least squares of relative distances; `deviation` is the largest relative distance of a point " +
      "from it, `memoryDeviation` the same of peak RSS.",
    notes: [describe("One row", row), describe(`Segments of ${settings.segment}`, packed)],
  };
}

export const SCALING: SpeedRow = {
  name: "scaling-135m",
  title: "Step time and memory against tokens, 256 to 8,192, SmolLM2-135M's shape",
  minutes: 30,
  defaults: { rounds: 1, steps: 2 },
  targets: [
    { figure: "deviation", better: "less", asked: 0.15, stretch: 0.08 },
    { figure: "deviationPacked", better: "less", asked: 0.15, stretch: 0.08 },
    { figure: "memoryDeviation", better: "less", asked: 0.15 },
    { figure: "memoryDeviationPacked", better: "less", asked: 0.15 },
  ],
  measure: measureScaling,
};
