import { InternalError } from "../../core/index.ts";
import type { Dtype, OnnxAttributes, OnnxDomain, OnnxEmitter, Shape, Value } from "../graph/index.ts";
import { type NodeMessage, nodeMessage, type TensorMessage, tensorMessage } from "./messages.ts";

/** Larger constants are not compared with each other; those that ops repeat (axes, shapes, scales) are tiny. */
const SHARED_CONSTANT_LIMIT = 64;

/** Collects the nodes and initializers of one model under unique names. */
export class ModelEmitter implements OnnxEmitter {
  readonly nodes: NodeMessage[] = [];
  readonly initializers: TensorMessage[] = [];
  readonly #taken: Set<string>;
  readonly #written = new Set<string>();
  readonly #names = new Map<Value, string>();
  readonly #sharedConstants = new Map<string, string>();
  #counter = 0;

  /** @param reserved names of the graph's inputs and outputs, which no other tensor may get */
  constructor(reserved: Iterable<string>) {
    this.#taken = new Set(reserved);
  }

  /** Gives a value its name beforehand: a graph input's or output's. */
  bind(value: Value, name: string): void {
    this.#names.set(value, name);
  }

  /** True if this value has its name already. */
  isBound(value: Value): boolean {
    return this.#names.has(value);
  }

  name(value: Value): string {
    let name = this.#names.get(value);
    if (name === undefined) {
      name = this.#fresh(`v${value.id}`);
      this.#names.set(value, name);
    }
    return name;
  }

  node(
    opType: string,
    inputs: readonly string[],
    outputs: number | readonly string[],
    attributes: OnnxAttributes = {},
    domain: OnnxDomain = "",
  ): readonly string[] {
    const names = typeof outputs === "number" ? Array.from({ length: outputs }, () => this.#fresh(`t${this.#counter++}`)) : outputs;
    for (const name of names) {
      if (name === "") continue; // an output left out
      if (this.#written.has(name)) throw new InternalError("two nodes write the same tensor", { where: `${opType} ${name}` });
      this.#written.add(name);
    }
    // ORT refuses two nodes of one name.
    this.nodes.push(nodeMessage(`${opType}_${this.nodes.length}`, opType, inputs, names, attributes, domain));
    return names;
  }

  constant(values: ArrayLike<number>, shape: Shape, dtype: Dtype): string {
    const key =
      values.length <= SHARED_CONSTANT_LIMIT
        ? `${dtype}[${shape.join()}]${Array.from(values, (v) => (Object.is(v, -0) ? "-0" : v)).join()}`
        : undefined;
    const shared = key === undefined ? undefined : this.#sharedConstants.get(key);
    if (shared !== undefined) return shared;
    const name = this.#fresh(`c${this.#counter++}`);
    this.initializers.push(tensorMessage(name, values, shape, dtype));
    if (key !== undefined) this.#sharedConstants.set(key, name);
    return name;
  }

  /** Throws if a node reads, or the graph gives out, what is neither an input, a constant nor written by a node. */
  assertComplete(inputs: readonly string[], outputs: readonly string[]): void {
    const known = new Set(["", ...inputs, ...this.initializers.map(({ name }) => name), ...this.#written]);
    const lost = [...this.nodes.flatMap(({ input = [] }) => input), ...outputs].find((name) => !known.has(name));
    if (lost !== undefined) throw new InternalError("an op's ONNX mapping does not write this tensor, which is used", { where: lost });
  }

  #fresh(wanted: string): string {
    let name = wanted;
    for (let i = 2; this.#taken.has(name); i++) name = `${wanted}_${i}`;
    this.#taken.add(name);
    return name;
  }
}
