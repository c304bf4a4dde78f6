import type { ChangeName, RunConfig } from "../config/index.ts";
import type { Handover } from "./foreign/index.ts";

/**
 * A disturbance of the live trainable set, to show what the checks are for: what
 * other loaders do to a saved adapter without saying so. The demo and tests use it.
 */
export interface Faults {
  /** Live names to freeze after loading. */
  readonly freeze: readonly string[];
  /** False: the ledger comparison is left out, so that liveness has to notice. */
  readonly ledgerCheck: boolean;
  /** Live tensors to multiply after loading: a load that gave other weights than were saved. */
  readonly scale?: readonly { readonly name: string; readonly factor: number }[];
}

interface CommonRequest {
  readonly id: string;
  /** Path of the run folder. */
  readonly run: string;
  readonly config: RunConfig;
  readonly provenance: Readonly<Record<string, string>>;
  /** ISO time at which the run was made. */
  readonly createdAt: string;
  /** ISO time that chat templates print: `createdAt`, or that of the record of a run that is resumed or repeated. */
  readonly startedAt: string;
  /** Id of the run that is repeated from its record. */
  readonly repeats?: string;
  /** What had to be taken for granted, to be told and recorded. */
  readonly assumptions: readonly string[];
  readonly faults?: Faults;
  /** Path of the trace to write; true: into the run's folder. */
  readonly profile?: string | true;
}

/** What the training job is asked to do; structured-cloneable. */
export type RunRequest =
  | (CommonRequest & { readonly kind: "train" })
  | (CommonRequest & {
      readonly kind: "continue" /** Adapter folder. */;
      readonly adapter: string /** What was allowed to differ from it. */;
      readonly changed: readonly ChangeName[];
      /** Set if the adapter lies in another trainer's checkpoint whose run is gone on with, not only its weights. */
      readonly handover?: Handover;
    })
  | (CommonRequest & {
      readonly kind: "resume" /** Checkpoint folder. */;
      readonly checkpoint: string;
      /** Hash of the configuration that the checkpoint was written under, as the run's files say. */
      readonly configBefore: string;
      /** What was changed since the run began, this time included: `training.steps=200`. */
      readonly changes: readonly string[];
    });
