import type { LedgerCounts, LedgerRow } from "../ledger/index.ts";
import type { ProfileSummary } from "../runs/index.ts";

/** First event of a run: what is about to happen, and where its record lies. */
export interface StartedEvent {
  readonly type: "started";
  readonly kind: "train" | "continue" | "resume";
  /** Path of the run folder; null if nothing is written. */
  readonly run: string | null;
  readonly base: string;
  /** Updates from the first to the last of the run. */
  readonly steps: number;
  /** The update after which this process begins: 0 unless resumed. */
  readonly fromStep: number;
}

/** The contract of the run, before the first update. */
export interface LedgerEvent {
  readonly type: "ledger";
  /** As PEFT prints it: `trainable params: … || all params: … || trainable%: …`. */
  readonly banner: string;
  readonly counts: LedgerCounts;
  /** What is trained first. */
  readonly rows: readonly LedgerRow[];
}

/** One update. */
export interface StepEvent {
  readonly type: "step";
  /** 1-based. */
  readonly step: number;
  readonly steps: number;
  /** Mean loss per label token of the update. */
  readonly loss: number;
  /** Rate that the update was made with, per group. */
  readonly learningRates: Readonly<Record<string, number>>;
  /** Global norm before clipping. */
  readonly gradNorm: number;
  /** Real tokens of the update, padding excluded. */
  readonly tokens: number;
  readonly tokensPerSecond: number;
  readonly elapsedSeconds: number;
  readonly remainingSeconds: number;
  readonly rssBytes: number;
}

/** A held-out set was evaluated. */
export interface EvaluationEvent {
  readonly type: "evaluation";
  /** Updates made before it. */
  readonly step: number;
  readonly dataset: string;
  readonly loss: number;
  readonly perplexity: number;
  /** Label tokens that the mean is over. */
  readonly tokens: number;
}

/** Prompts with answers were completed and scored. */
export interface AnswersEvent {
  readonly type: "answers";
  /** Updates made before it. */
  readonly step: number;
  readonly dataset: string;
  /** Share of answers that are right to the word, and mean overlap of words; after SQuAD's normalization. */
  readonly exactMatch: number;
  readonly f1: number;
  readonly rows: number;
}

/** A condition on evaluations was judged. */
export interface GateEvent {
  readonly type: "gate";
  /** Update that the weights are of that were judged. */
  readonly step: number;
  readonly ok: boolean;
  readonly dataset: string;
  /** `loss`, `perplexity`, `exactMatch` or `f1`. */
  readonly metric: string;
  /** In words: `must not rise by more than 2 %`. */
  readonly condition: string;
  /** Null where there was nothing to compare with. */
  readonly before: number | null;
  readonly after: number;
}

/** Early stopping ended the updates. */
export interface StoppedEvent {
  readonly type: "stopped";
  readonly step: number;
  readonly steps: number;
  /** The evaluation with the lowest loss. */
  readonly best: { readonly step: number; readonly value: number } | null;
  /** Why, in words. */
  readonly reason: string;
}

/** A whole checkpoint is on disk. */
export interface CheckpointEvent {
  readonly type: "checkpoint";
  readonly step: number;
  readonly path: string;
}

/** Proof that what is said to be trainable moved, and nothing else did. */
export interface LivenessEvent {
  readonly type: "liveness";
  readonly step: number;
  readonly ok: boolean;
  /** Names of the tensors that were checked if ok, else of those that failed. */
  readonly tensors: readonly string[];
}

/** Something a user should know: an assumption, a row that was cut. */
export interface NoteEvent {
  readonly type: "note";
  readonly message: string;
}

/** A sample prompt was completed. */
export interface SampleEvent {
  readonly type: "sample";
  readonly prompt: string;
  readonly text: string;
}

/** Where the time of the updates went; told once, by a run that was profiled. */
export interface ProfileEvent extends ProfileSummary {
  readonly type: "profile";
}

/** Last event of a run that was not stopped by an error. */
export interface FinishedEvent {
  readonly type: "finished";
  readonly step: number;
  readonly steps: number;
  readonly seconds: number;
  readonly tokens: number;
  readonly run: string | null;
  /** Folder of the final adapter; null if there is none (full-parameter training, or interrupted). */
  readonly adapter: string | null;
}

/** Everything that training tells the outside; terminal, events.jsonl and UI consume the same union. */
export type TrainingEvent =
  | StartedEvent
  | LedgerEvent
  | StepEvent
  | EvaluationEvent
  | AnswersEvent
  | GateEvent
  | StoppedEvent
  | CheckpointEvent
  | LivenessEvent
  | NoteEvent
  | SampleEvent
  | ProfileEvent
  | FinishedEvent;
