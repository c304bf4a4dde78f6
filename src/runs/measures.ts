import type { DatasetReading, TooLongPolicy } from "../data/index.ts";
/** What the last bits of a held-out loss may depend on besides weights and rows: batch layout, threads, versions, processor. */
export type EvaluationConditions = Readonly<Record<string, string | number | boolean>>;

/** Scores on a file of prompts with answers; shares from 0 to 1. */
export interface AnswerRecord {
  readonly dataset: string;
  /** SHA-256 over prompts and answers. */
  readonly fingerprint: string;
  readonly step: number;
  readonly exactMatch: number;
  readonly f1: number;
  readonly rows: number;
}

/** A sample prompt, completed before the first and after the last update. */
export interface SamplePair {
  readonly prompt: string;
  /** Null: not made, as in a run that an earlier heirloom began. */
  readonly before: string | null;
  readonly after: string;
}

/** A condition of the configuration, judged on one data set. */
export interface GateRecord {
  readonly dataset: string;
  readonly metric: string;
  /** The condition in words: `must not rise by more than 2 %`. */
  readonly condition: string;
  /** Null where there was nothing to compare with, and the condition does not ask for it. */
  readonly before: number | null;
  readonly after: number;
  /** The number that `after` had to stay at or below, or reach. */
  readonly limit: number;
  readonly ok: boolean;
}

/** What early stopping came to. */
export interface EarlyStop {
  /** Updates made, and those that were planned. */
  readonly step: number;
  readonly steps: number;
  /** The evaluation with the lowest loss. */
  readonly best: { readonly step: number; readonly value: number } | null;
}

/** A held-out set of the adapter that is continued, and how its rows were read and put into batches. */
export interface HeldOutRecord {
  readonly files: readonly string[];
  readonly maxLength: number;
  readonly onTooLong: TooLongPolicy;
  /** How the rows were understood; absent in records from before there was a choice. */
  readonly reading?: DatasetReading;
  readonly template: string | null;
  readonly packing: boolean;
  readonly batchSize: number;
  /** The date that chat templates print; null: not recorded. */
  readonly startedAt: string | null;
  /** Of its rows when they were evaluated last; null: not recorded. */
  readonly fingerprint: string | null;
}

/** How a run was judged: kept in result.json. */
export interface RunMeasures {
  /** `before` is null where these rows were not measured before the first update: `evaluation` may change on resume. */
  readonly evaluations: readonly { readonly dataset: string; readonly before: number | null; readonly after: number }[];
  readonly answers: readonly {
    readonly dataset: string;
    readonly rows: number;
    readonly before: { readonly exactMatch: number; readonly f1: number } | null;
    readonly after: { readonly exactMatch: number; readonly f1: number };
  }[];
  readonly samples: readonly SamplePair[];
  readonly gates: readonly GateRecord[];
  /** Null: the run went to its last update. */
  readonly stopped: EarlyStop | null;
  /** Update that the final weights are of: another than the last where the best were restored. */
  readonly keptStep: number;
  /** Folder of the adapter to use from now on: the run's own, or, where a gate failed, that of before; null if there is none. */
  readonly current: string | null;
}
