import type { BatchSource } from "../data/index.ts";
import type { LogEntry } from "../formats/index.ts";
import type { AnswerRecord, EarlyStop, EvaluationRecord, SamplePair } from "../runs/index.ts";
import type { CheckpointState } from "./checkpoint/index.ts";
import type { TrainingEvent } from "./events.ts";
import type { Owed } from "./gates/index.ts";
import type { Keeper } from "./keeper.ts";
import type { Liveness } from "./liveness.ts";
import type { Prepared } from "./prepare.ts";
import type { TrainingSession } from "./session.ts";

/** A run that is ready to make updates. */
export interface LiveRun {
  readonly prepared: Prepared;
  readonly session: TrainingSession;
  readonly source: BatchSource;
  readonly keeper: Keeper;
  readonly liveness: Liveness;
  /** Token ids seen so far; the rows on which an embedding is judged. */
  readonly seenTokens: Set<number>;
  /** Updates of the whole run, and those done before this process. */
  readonly steps: number;
  readonly fromStep: number;
  /** What the process before this one came to; null for a run that starts. */
  readonly before: CheckpointState | null;
  /** Its log, to be gone on with. */
  readonly logBefore: readonly LogEntry[];
  /** What the first evaluation of a run that starts owes to that of its parent. */
  readonly owed: Owed | null;
  /** What the bits of a result may depend on. */
  readonly environment: Readonly<Record<string, string | number>>;
}

/** How the loop talks to the outside. */
export interface LoopContext {
  report(event: TrainingEvent): Promise<void>;
  /** What was reported so far is on the disk when this resolves. */
  flush(): Promise<void>;
  stopRequested(): boolean;
}

/** What was measured at one time. */
export interface MeasuredAt {
  readonly evaluations: readonly EvaluationRecord[];
  readonly answers: readonly AnswerRecord[];
}

/** What the loop came to. */
export interface LoopOutcome {
  /** Of the last update; null if there was none left to make. */
  readonly loss: number | null;
  readonly tokens: number;
  readonly first: MeasuredAt;
  readonly last: MeasuredAt;
  readonly samples: readonly SamplePair[];
  /** Updates made, and the one that the weights are of. */
  readonly made: number;
  readonly kept: number;
  /** Null: it went to the last update. */
  readonly stopped: EarlyStop | null;
}
