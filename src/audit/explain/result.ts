import type { AdapterReading } from "./adapter-evidence.ts";
import type { BannerForm } from "./banner.ts";
import type { Hypothesis } from "./hypothesis.ts";
import type { Sibling } from "./siblings.ts";

/** The numbers of one line, as printed. */
export interface ObservedCounts {
  readonly trainable: number;
  readonly all: number | null;
  readonly percent: number | null;
  /** How far off the counts may be, where they were printed as `3.408M`; else 0. */
  readonly within: number;
  readonly form: BannerForm;
  readonly line: number;
  readonly text: string;
}

/** One banner and all that gives its numbers. */
export interface Explanation {
  readonly observed: ObservedCounts;
  /** Every configuration that gives the numbers, the most ordinary first; if none does, those that give some of them. */
  readonly hypotheses: readonly Hypothesis[];
  /** How many of them are exact: all or none. */
  readonly exactCount: number;
}

/** What the base model counts as. */
export interface ExplainedBase {
  readonly architecture: string;
  readonly hiddenSize: number;
  readonly parameters: number;
  /** As a counter prints it that takes 4-bit weights by their bytes. PEFT does not. */
  readonly packedParameters: number;
  readonly tied: boolean;
  readonly layers: number;
  readonly linears: readonly string[];
}

/** The fields of `explain --json`. The last banner of a log is the one that is explained; those before it are in `earlier`. */
export interface ExplainResult extends Explanation {
  readonly base: ExplainedBase;
  readonly adapter: AdapterReading | null;
  /** What the same selection prints and weighs at other ranks, by the most ordinary hypothesis. */
  readonly otherRanks: readonly Sibling[];
  readonly earlier: readonly Explanation[];
  /**
   * With several banners: each row is one adapter that prints all of them, one hypothesis per banner
   * (`earlier` first). Empty if no one adapter can; null with one banner.
   */
  readonly sameAdapter: readonly (readonly Hypothesis[])[] | null;
  /** Plain words, a sentence a line. */
  readonly verdict: string;
  /** What to do next, with the commands to type. */
  readonly advice: readonly string[];
}
