// What rows compute from their processes.
import type { ObservedProcess, ProcessResult } from "../steps/measured-process.ts";
import { peakOf, rounded, spread } from "../steps/report.ts";

interface Runs<R extends ObservedProcess> {
  readonly results: readonly R[];
}

export const median = (values: readonly number[]): number => spread(values).median;

export const tokensPerSecond = ({ results }: Runs<ProcessResult>): number => median(results.map((result) => result.tokensPerSecond));

export const peakRssMib = ({ results }: Runs<ObservedProcess>): number => median(results.map(peakOf));

/** The first's rate as a multiple of the second's; of the medians. */
export const rateRatio = (ours: Runs<ProcessResult>, theirs: Runs<ProcessResult>): number =>
  rounded(tokensPerSecond(ours) / tokensPerSecond(theirs));

/** The first's peak memory as a part of the second's; of the medians. */
export const rssRatio = (ours: Runs<ObservedProcess>, theirs: Runs<ObservedProcess>): number =>
  rounded(peakRssMib(ours) / peakRssMib(theirs));

/** Seconds that a process printed, step by step. */
const stepSeconds = ({ output }: ObservedProcess): number[] => output["step_s"] as number[];

const boundSeconds = ({ output }: ObservedProcess): number[] => (output["bound"] as { seconds: number[] }).seconds;

/** What part of a step its pure products take: the medians within each process, and the median of those. */
export function boundShare({ results }: Runs<ObservedProcess>): number {
  return rounded(median(results.map((result) => median(boundSeconds(result)) / median(stepSeconds(result)))));
}

/** A number that each process printed under a name; the median. */
export function printed({ results }: Runs<ObservedProcess>, name: string): number {
  return median(results.map(({ output }) => Number(output[name])));
}

/** A straight line through points, with the largest relative distance of one from it. */
export interface Line {
  readonly perUnit: number;
  readonly constant: number;
  readonly largestDeviation: number;
}

/**
 * The line that is nearest to points in relative terms (least squares of 1 − line / y), so that the small ones count as
 * much as the large ones.
 */
export function fitLine(points: readonly (readonly [x: number, y: number])[]): Line {
  let [uu, uv, vv, u1, v1] = [0, 0, 0, 0, 0];
  for (const [x, y] of points) {
    const [u, v] = [x / y, 1 / y];
    uu += u * u;
    uv += u * v;
    vv += v * v;
    u1 += u;
    v1 += v;
  }
  const determinant = uu * vv - uv * uv;
  const perUnit = (u1 * vv - v1 * uv) / determinant;
  const constant = (v1 * uu - u1 * uv) / determinant;
  const largestDeviation = Math.max(...points.map(([x, y]) => Math.abs(y / (perUnit * x + constant) - 1)));
  return { perUnit, constant, largestDeviation: rounded(largestDeviation, 4) };
}
