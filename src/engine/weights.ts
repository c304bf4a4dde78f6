import { InternalError } from "../core/index.ts";
import type { BaseWeights } from "./base-weights.ts";
import { type Parameter, readValues } from "./parameter.ts";
import { RowGradient } from "./row-gradient.ts";
import type { Workspace } from "./workspace.ts";

function zero({ gradient }: Parameter): void {
  if (gradient instanceof RowGradient) gradient.clear();
  else gradient.fill(0);
}

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
    if (parameter !== undefined) return this.#read(parameter, 0, parameter.values.length, scratch);
    return this.base.values(key, this.#workspace.scratch(scratch));
  }

  /** The elements `start` to `end − 1` of `key`: a view, or the buffer `scratch`. */
  range(key: string, start: number, end: number, scratch: string): Float32Array {
    const parameter = this.#byKey.get(key);
    if (parameter !== undefined) return this.#read(parameter, start, end, scratch);
    return this.base.range(key, start, end, this.#workspace.scratch(scratch));
  }

  /** Whether {@link feed} computes the values of `key` anew each time. */
  isPacked(key: string): boolean {
    const parameter = this.#byKey.get(key);
    return parameter === undefined ? this.base.isPacked(key) : parameter.masterDtype !== "F32";
  }

  #read(parameter: Parameter, start: number, end: number, scratch: string): Float32Array {
    return readValues(parameter, start, end, (length) => this.#workspace.floats(`values/${scratch}`, length));
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
    const { length } = parameter.values;
    return this.#written.has(parameter) ? this.#workspace.floats(`gradient/${length}/${key}`, length) : this.#dense(parameter);
  }

  /** Takes what was written into {@link gradientTarget} into the parameter's gradient. */
  collectGradient(key: string, written: Float32Array): void {
    const parameter = this.#require(key);
    if (this.#written.has(parameter)) {
      const sum = this.#dense(parameter);
      for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + (written[i] as number);
    }
    this.#written.add(parameter);
  }

  /** The parameter's gradient, zeroed if nothing has been written to it in this update, to be added to in place. */
  accumulator(key: string): Float32Array {
    const parameter = this.#begin(key);
    return this.#dense(parameter);
  }

  /** Adds rows [T, D] to those of the gradient of an embedding [V, D] that `ids` names; ids below 0 are left out. */
  addRows(key: string, ids: Int32Array, rows: Float32Array): void {
    const { gradient, shape } = this.#begin(key);
    const width = shape[1] as number;
    for (let t = 0; t < ids.length; t++) {
      const id = ids[t] as number;
      if (id < 0) continue;
      const row = rows.subarray(t * width, (t + 1) * width);
      if (gradient instanceof RowGradient) gradient.add(id, row);
      else for (let d = 0, to = id * width; d < width; d++, to++) gradient[to] = (gradient[to] as number) + (row[d] as number);
    }
  }

  /** Ends an update's gradients: what no graph wrote to is zero. */
  finishGradients(): void {
    for (const parameter of this.trained) if (!this.#written.has(parameter)) zero(parameter);
  }

  /** The parameter, its gradient zeroed if nothing has been written to it in this update. */
  #begin(key: string): Parameter {
    const parameter = this.#require(key);
    if (!this.#written.has(parameter)) zero(parameter);
    this.#written.add(parameter);
    return parameter;
  }

  #dense({ gradient, name }: Parameter): Float32Array {
    if (gradient instanceof RowGradient)
      throw new InternalError("a graph gives the whole gradient of a tensor of which only rows are kept", { where: name });
    return gradient;
  }

  #require(key: string): Parameter {
    const parameter = this.trainable(key);
    if (parameter === undefined) throw new InternalError(`a gradient was computed for ${key}, which is not trained`);
    return parameter;
  }
}
