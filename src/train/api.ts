import type { Changes, ConfigSources, GateConfig, Source } from "../config/index.ts";
import type { LedgerCounts } from "../ledger/index.ts";
import type { GateRecord, ProfileSummary, RunMeasures } from "../runs/index.ts";
import type { TrainingEvent } from "./events.ts";
import type { SameLoss } from "./gates/index.ts";

/** What a caller may hand to anything that trains or evaluates. */
export interface TrainingOptions {
  /** Called with every event, in order. */
  readonly onEvent?: (event: TrainingEvent) => void;
  /** When it aborts, a checkpoint is written after the update under way, then INTERRUPTED is thrown. */
  readonly signal?: AbortSignal;
  /** Where each value of the configuration came from, for `run.json`. */
  readonly provenance?: Readonly<Record<string, Source>>;
  /**
   * Writes a trace (Chrome's trace event format) of everything that training does to this file, or, for `true`, to
   * `trace.json` in the run's folder; what it comes to is in the result. Evaluations by themselves have none.
   */
  readonly profile?: string | true;
}

/** Mean loss on one held-out set before the first and after the last update. */
export interface EvaluationPair {
  readonly dataset: string;
  /** Null: not measured before the first update. */
  readonly before: number | null;
  readonly after: number;
}

/** What a run that came to its end did, and how it was judged. */
export interface TrainingResult extends RunMeasures {
  /** Path of the run folder. */
  readonly run: string;
  /** Folder of the final adapter; null for full-parameter training. */
  readonly adapter: string | null;
  readonly banner: string;
  readonly counts: LedgerCounts;
  /** Updates made; fewer than planned where early stopping ended them. */
  readonly steps: number;
  readonly tokens: number;
  readonly seconds: number;
  /** Loss of the last update; null if there was none left to make. */
  readonly loss: number | null;
  /** Where the time of the updates went, if that was asked for. */
  readonly profile?: ProfileSummary;
}

/** What to continue, on what, and what may differ. */
export interface ContinueRequest {
  /** Folder of an adapter, checkpoint or run. */
  readonly adapter: string;
  /** The new run's sources; what they leave open is inherited from the adapter and its record. */
  readonly sources: ConfigSources;
  readonly changes: Changes;
}

/** What to evaluate, and on what. */
export interface EvaluationRequest {
  /** Folder of an adapter, checkpoint, run or model. */
  readonly path: string;
  /** Base model, if the adapter's record names none or another is meant. */
  readonly base?: string;
  /** Data files as one set called `data`; the run's own held-out sets by default. */
  readonly data?: readonly string[];
  /** Named sets, beside or instead of `data`. */
  readonly sets?: Readonly<Record<string, readonly string[]>>;
  /** Files of prompts with answers, by name; those of the run's record by default, if no set is named. */
  readonly answers?: Readonly<Record<string, readonly string[]>>;
  /** Longest completion of a prompt with an answer, in tokens. @defaultValue as recorded, else 32 */
  readonly answerTokens?: number;
  readonly maxLength?: number;
  readonly batchSize?: number;
  /** Adapter or model to compare with; `parent`: the adapter that the run continued. */
  readonly against?: string;
  /** Conditions between the two; those of the run's record by default, if there is something to compare with. */
  readonly gates?: readonly GateConfig[];
}

/** A loss on rows of which the adapter's own record holds one: that of its last evaluation, on the same weights. */
export interface RecordedLoss extends SameLoss {
  /** What was evaluated: `path`, or what it is compared with. */
  readonly path: string;
}

/** Losses per held-out set, scores per set of answers, and whether the gates let them pass. */
export interface EvaluationResult {
  readonly path: string;
  /** What `before` is of; null if nothing was compared. */
  readonly against: string | null;
  readonly evaluations: readonly {
    readonly dataset: string;
    readonly loss: number;
    readonly perplexity: number;
    readonly tokens: number;
    /** Loss of what it is compared with. */
    readonly before: number | null;
  }[];
  readonly answers: readonly {
    readonly dataset: string;
    /** Shares from 0 to 1, after SQuAD's normalization. */
    readonly exactMatch: number;
    readonly f1: number;
    readonly rows: number;
    readonly before: { readonly exactMatch: number; readonly f1: number } | null;
  }[];
  readonly gates: readonly GateRecord[];
  /** Losses beside the recorded ones, which they must equal; empty where the record has none on these rows. */
  readonly recorded: readonly RecordedLoss[];
}

/** One stage of the demo's story. */
export interface DemoStage {
  readonly name: "train" | "continue" | "frozen";
  /** What is tried, in a phrase that tells the two frozen stages apart. */
  readonly what: string;
  readonly trainable: number;
  readonly all: number;
  readonly percent: number;
  readonly evalLossBefore: number | null;
  readonly evalLossAfter: number | null;
  /** Every held-out set, the one that the two fields above are of included; empty if the stage was refused. */
  readonly evaluations: readonly EvaluationPair[];
  readonly seconds: number;
  /** True if the stage was refused, which is what `frozen` must be. */
  readonly refused: boolean;
  /** Code of the refusal. */
  readonly code: string | null;
}

/** The demo as a whole: `ok` if the story held. */
export interface DemoResult {
  readonly ok: boolean;
  readonly stages: readonly DemoStage[];
}
