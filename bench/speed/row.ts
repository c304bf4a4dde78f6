// A row of the table of speed: what it measures, what is asked of it, and how it is run.
import type { ObservedProcess, ProcessResult } from "../steps/measured-process.ts";
import type { SpeedSettings } from "./settings.ts";

/** What a figure is to reach. */
export interface Target {
  /** Name of the figure. */
  readonly figure: string;
  readonly better: "more" | "less" | "equal";
  readonly asked: number;
  readonly stretch?: number;
}

/** Processes of one kind, one for each round. */
export interface Side {
  readonly command: readonly string[];
  readonly results: readonly (ObservedProcess | ProcessResult)[];
}

/** What came of a row. */
export interface Measurement {
  /** Medians and ratios; null: not measured here, a note says why. */
  readonly figures: Readonly<Record<string, number | null>>;
  readonly sides: Readonly<Record<string, Side>>;
  readonly method: string;
  readonly notes?: readonly string[];
}

/** A row. */
export interface SpeedRow {
  readonly name: string;
  readonly title: string;
  /** Minutes on two quiet cores, with the settings that are its own. */
  readonly minutes: number;
  /** Settings that differ from the common ones. */
  readonly defaults: Readonly<Partial<SpeedSettings>>;
  readonly targets: readonly Target[];
  measure(settings: SpeedSettings): Promise<Measurement>;
}

/** Whether a figure is as far as asked. */
export function isMet({ better }: Pick<Target, "better">, value: number, limit: number): boolean {
  if (better === "equal") return value === limit;
  return better === "more" ? value >= limit : value <= limit;
}
