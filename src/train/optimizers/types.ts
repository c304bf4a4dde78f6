import type { Graph, Program } from "../../compute/index.ts";
import type { Bf16Parameter, Parameter } from "../../engine/index.ts";

/** A trained tensor that an optimizer is made for. */
export interface OptimizerTarget {
  readonly parameter: Parameter;
  /** Learning-rate group. */
  readonly group: string;
  readonly weightDecay: number;
}

/** One trained tensor with its optimizer state. */
export interface OptimizerSlot extends OptimizerTarget {
  /**
   * State arrays by the names of the library whose state it is (torch's `exp_avg` …, bitsandbytes' `state1` …). What has as many
   * elements as the parameter lies as it does in memory.
   */
  readonly state: Readonly<Record<string, Float32Array | Uint8Array>>;
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
