// optimizers: one file each, in this table. They see parameters and rates, no
// models, schedules or files.
import { AdamW } from "./adamw.ts";
import { AdamW8bit } from "./adamw8bit.ts";
import type { Compile, Optimizer, OptimizerSettings, OptimizerTarget } from "./types.ts";

type OptimizerFactory = (targets: readonly OptimizerTarget[], settings: OptimizerSettings, compile: Compile) => Optimizer;

export const OPTIMIZERS = {
  adamw: (targets, settings, compile) => new AdamW(targets, settings, compile),
  adamw8bit: (targets, settings, compile) => new AdamW8bit(targets, settings, compile),
} as const satisfies Record<string, OptimizerFactory>;

export type { Compile, Optimizer, OptimizerSlot, StorePiece } from "./types.ts";
