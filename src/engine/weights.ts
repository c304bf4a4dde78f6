import { InternalError } from "../core/index.ts";
import type { BaseWeights } from "./base-weights.ts";
import type { Parameter } from "./parameter.ts";
import type { Workspace } from "./workspace.ts";

/**
 * What the graphs are fed with under each name: the trained tensor where there
 * is one, else the base's. Owns the memory of both; ONNX Runtime reads it in place.
 */
export class Weights {
  readonly base: BaseWeights;
  readonly parameters: readonly Parameter[];
  readonly #byKey = new Map<string, Parameter>();
  readonly #frozen = new Set<Parameter>();
  readonly #written = new Set<Parameter>();
  readonly #workspace: Workspace;

  constructor(base: BaseWeights, parameters: readonly Parameter[], workspace: Workspace) {
    this.base = base;
    this.parameters = parameters;
    this.#workspace = workspace;
    for (const parameter of parameters) {
      for (const key of parameter.keys) this.#byKey.set(key, parameter);
    }
  }

  /** The values of `key`; those of a base tensor that is not held as fp32 are computed into the buffer `scratch`. */
  feed(key: string, scratch: string): Float32Array {
    const parameter = this.#byKey.get(key);
    if (parameter !== undefined) return parameter.values;
    return this.base.values(key, this.#workspace.scratch(scratch));
  }

  /** The elements `start` to `end − 1` of `key`: a view, or the buffer `scratch`. */
  range(key: string, start: number, end: number, scratch: string): Float32Array {
    const parameter = this.#byKey.get(key);
    if (parameter !== undefined) return parameter.values.subarray(start, end);
    return this.base.range(key, start, end, this.#workspace.scratch(scratch));
  }

  /** Whether {@link feed} computes the values of `key` anew each time. */
  isPacked(key: string): boolean {
    return !this.#byKey.has(key) && this.base.isPacked(key);
  }

  /** The parameter behind `key` if it is being trained. */
  trainable(key: string): Parameter | undefined {
    const parameter = this.#byKey.get(key);
    return parameter === undefined || this.#frozen.has(parameter) ? undefined : parameter;
  }

  /** Keys of all trainable parameters that start with `prefix`, the prefix taken off, in parameter order. */
  trainableKeys(prefix: string): string[] {
    const keys: string[] = [];
    for (const parameter of this.parameters) {
      if (this.#frozen.has(parameter)) continue;
      for (const key of parameter.keys) if (key.startsWith(prefix)) keys.push(key.slice(prefix.length));
    }
    return keys;
  }

  /** All parameters that are being trained. */
  get trained(): Parameter[] {
    return this.parameters.filter((parameter) => !this.#frozen.has(parameter));
  }

  /** Stops training the named parameters; their values stay in use. */
  freeze(names: Iterable<string>): void {
    for (const name of names) {
      const parameter = this.parameters.find((candidate) => candidate.name === name);
      if (parameter === undefined) throw new InternalError(`there is no parameter ${name} to freeze`);
      this.#frozen.add(parameter);
    }
  }

  /** Starts a new update: the next gradient of each parameter overwrites, later ones add. */
  beginUpdate(): void {
    this.#written.clear();
  }

  /** Where a graph is to write the gradient of `key`: its own buffer the first time, a scratch one after. */
  gradientTarget(key: string): Float32Array {
    const parameter = this.#require(key);
    return this.#written.has(parameter)
      ? this.#workspace.floats(`gradient/${parameter.gradient.length}/${key}`, parameter.gradient.length)
      : parameter.gradient;
  }

  /** Takes what was written into {@link gradientTarget} into the parameter's gradient. */
  collectGradient(key: string, written: Float32Array): void {
    const parameter = this.#require(key);
    if (this.#written.has(parameter)) {
      const sum = parameter.gradient;
      for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + (written[i] as number);
    }
    this.#written.add(parameter);
  }

  /** The parameter's gradient, zeroed if nothing has been written to it in this update, to be added to in place. */
  accumulator(key: string): Float32Array {
    const parameter = this.#require(key);
    if (!this.#written.has(parameter)) parameter.gradient.fill(0);
    this.#written.add(parameter);
    return parameter.gradient;
  }

  /** Ends an update's gradients: what no graph wrote to is zero. */
  finishGradients(): void {
    for (const parameter of this.trained) if (!this.#written.has(parameter)) parameter.gradient.fill(0);
  }

  #require(key: string): Parameter {
    const parameter = this.trainable(key);
    if (parameter === undefined) throw new InternalError(`a gradient was computed for ${key}, which is not trained`);
    return parameter;
  }
}
