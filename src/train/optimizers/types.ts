import type { Graph, Program } from "../../compute/index.ts";
import type { Bf16Parameter, Parameter } from "../../engine/index.ts";

/** One trained tensor with its optimizer state. */
export interface OptimizerSlot {
  readonly parameter: Parameter;
  /** Learning-rate group. */
  readonly group: string;
  readonly weightDecay: number;
  /** State arrays by torch's names (`exp_avg` …), in the parameter's memory layout. */
  readonly state: Readonly<Record<string, Float32Array>>;
}

/** Compiles a graph, or gives the one that has been compiled under this name. Who gives this releases what it has compiled. */
export type Compile = (name: string, make: () => Graph) => Promise<Program>;

/** Takes an updated piece of a tensor whose master is not fp32, from element `start` on; the values are the optimizer's scratch. */
export type StorePiece = (parameter: Bf16Parameter, start: number, values: Float32Array) => void;

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
   * One update of every slot's values; the event loop has turns meanwhile.
   * @param rates learning rate of each group
   * @param gradientScale factor on every gradient (clipping)
   * @param store puts the updated values of bf16 masters away
   */
  update(rates: ReadonlyMap<string, number>, gradientScale: number, store: StorePiece): Promise<void>;
}
