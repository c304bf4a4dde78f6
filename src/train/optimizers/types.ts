import type { Parameter } from "../../engine/index.ts";

/** One trained tensor with its optimizer state. */
export interface OptimizerSlot {
  readonly parameter: Parameter;
  /** Learning-rate group. */
  readonly group: string;
  readonly weightDecay: number;
  /** State arrays by torch's names (`exp_avg` …), in the parameter's memory layout. */
  readonly state: Readonly<Record<string, Float32Array>>;
}

/** Settings that all optimizers of the table share. */
export interface OptimizerSettings {
  readonly betas: readonly [number, number];
  readonly epsilon: number;
}

/** Turns gradients into updates, in place. */
export interface Optimizer {
  readonly name: string;
  readonly slots: readonly OptimizerSlot[];
  /** Updates made. */
  step: number;
  /**
   * One update of every slot's values.
   * @param rates learning rate of each group
   * @param gradientScale factor on every gradient (clipping)
   */
  update(rates: ReadonlyMap<string, number>, gradientScale: number): void;
}
