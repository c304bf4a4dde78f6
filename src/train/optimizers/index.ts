// optimizers: one file each, in this table. They see parameters and rates, no
// models, schedules or files.
import type { Parameter } from "../../engine/index.ts";
import { AdamW } from "./adamw.ts";
import type { Compile, Optimizer, OptimizerSettings } from "./types.ts";

/** What an optimizer is made for. */
export interface OptimizerTarget {
  readonly parameter: Parameter;
  readonly group: string;
  readonly weightDecay: number;
}

type OptimizerFactory = (targets: readonly OptimizerTarget[], settings: OptimizerSettings, compile: Compile) => Optimizer;

export const OPTIMIZERS = {
  adamw: (targets, settings, compile) => new AdamW(targets, settings, compile),
} as const satisfies Record<string, OptimizerFactory>;

export type { Compile, Optimizer, OptimizerSlot, StorePiece } from "./types.ts";
