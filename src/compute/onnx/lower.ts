import { InternalError } from "../../core/index.ts";
import { type Graph, type Node, OPS, type Value } from "../graph/index.ts";
import { ModelEmitter } from "./emitter.ts";
import { encodeModel, sequenceValue, tensorValue } from "./messages.ts";

/** What a model file gets besides the graph. */
export interface LowerOptions {
  /**
   * Name of an extra output, put first, that is a sequence of one constant and
   * not a tensor; compute/ort has a use for it.
   */
  readonly leadingSequence?: string;
  /** Filled with the graph's node behind each ONNX node, by the latter's name. */
  readonly origins?: Map<string, Node>;
}

/**
 * Writes a graph as an ONNX model: opset 23 with com.microsoft 1, fixed shapes,
 * inputs and outputs in the graph's order and under its names. The operator that
 * computes an output writes it under its name, since an Identity would copy it
 * (0.6 ms per 6.3 MB); only an output that is an input, a constant or another
 * output as well gets one. What no output needs is left out.
 *
 * @returns the bytes of a ModelProto
 */
export function lowerToOnnx(graph: Graph, options: LowerOptions = {}): Uint8Array<ArrayBuffer> {
  const inputs = Object.entries(graph.inputs);
  const outputs = Object.entries(graph.outputs);
  const reserved = [
    ...Object.keys(graph.inputs),
    ...Object.keys(graph.outputs),
    ...(options.leadingSequence === undefined ? [] : [options.leadingSequence]),
  ];
  refuseRepeated(reserved);
  const emitter = new ModelEmitter(reserved);
  for (const [name, value] of inputs) emitter.bind(value, name);
  const copies = bindOutputs(emitter, outputs);
  for (const node of liveNodes(graph)) {
    const before = emitter.nodes.length;
    lowerNode(node, emitter);
    for (const { name } of options.origins === undefined ? [] : emitter.nodes.slice(before)) options.origins?.set(String(name), node);
  }
  for (const [name, value] of copies) emitter.node("Identity", [emitter.name(value)], [name]);

  const outputTypes = outputs.map(([name, value]) => tensorValue(name, value));
  if (options.leadingSequence !== undefined) {
    emitter.node("SequenceConstruct", [emitter.constant([0], [1], "float32")], [options.leadingSequence]);
    outputTypes.unshift(sequenceValue(options.leadingSequence, { shape: [1], dtype: "float32" }));
  }
  emitter.assertComplete(Object.keys(graph.inputs), Object.keys(graph.outputs));
  return encodeModel({
    inputs: inputs.map(([name, value]) => tensorValue(name, value)),
    outputs: outputTypes,
    nodes: emitter.nodes,
    initializers: emitter.initializers,
  });
}

function refuseRepeated(names: readonly string[]): void {
  const repeated = names.find((name, i) => names.indexOf(name) !== i);
  if (repeated !== undefined) throw new InternalError("a graph's input and output have the same name", { where: repeated });
}

/** Gives each output's value the output's name where it can have it; returns the outputs that must be copies. */
function bindOutputs(emitter: ModelEmitter, outputs: readonly (readonly [string, Value])[]): readonly (readonly [string, Value])[] {
  return outputs.filter(([name, value]) => {
    if (emitter.isBound(value) || value.node.op === "constant") return true;
    emitter.bind(value, name);
    return false;
  });
}

/** The nodes that the outputs depend on, in the graph's order. */
function liveNodes(graph: Graph): readonly Node[] {
  const live = new Set<Node>();
  const pending = Object.values(graph.outputs).map(({ node }) => node);
  for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
    if (live.has(node)) continue;
    live.add(node);
    for (const input of node.inputs) pending.push(input.node);
  }
  return graph.nodes.filter((node) => live.has(node));
}

function lowerNode(node: Node, emitter: ModelEmitter): void {
  const [output] = node.outputs;
  if (node.op === "constant" && output !== undefined) {
    emitter.bind(output, emitter.constant(constantValues(node), output.shape, output.dtype));
    return;
  }
  const { onnx } = OPS[node.op];
  if (onnx === "none") return; // a graph input
  if ("lower" in onnx) {
    onnx.lower(node, emitter);
    return;
  }
  emitter.node(
    onnx.opType,
    node.inputs.map((value) => emitter.name(value)),
    node.outputs.map((value) => emitter.name(value)),
    onnx.attributes?.(node),
    onnx.domain,
  );
}

function constantValues(node: Node): readonly number[] {
  const values = node.attributes["values"];
  if (!Array.isArray(values)) throw new InternalError("a constant has no values");
  return values as readonly number[];
}
