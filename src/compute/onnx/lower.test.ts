import { fromBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { InternalError } from "../../core/index.ts";
import { add, constant, type Graph, gemm, graph, input, mul, reshape, sigmoid, type Value } from "../graph/index.ts";
import { lowerToOnnx } from "./lower.ts";
import { type GraphProto, ModelProtoSchema } from "./onnx_pb.ts";

function lowered(of: Graph, options?: Parameters<typeof lowerToOnnx>[1]): GraphProto {
  const { graph: result } = fromBinary(ModelProtoSchema, lowerToOnnx(of, options));
  if (result === undefined) throw new InternalError("no graph was written");
  return result;
}

/** One line per node: `Op(inputs) -> outputs`. */
const lines = ({ node }: GraphProto): readonly string[] =>
  node.map(({ opType, input: from, output }) => `${opType}(${from.join()}) -> ${output.join()}`);

describe("lowerToOnnx", () => {
  it("writes IR version 11, opset 23 and com.microsoft 1", () => {
    const model = fromBinary(ModelProtoSchema, lowerToOnnx(graph({ outputs: { y: sigmoid(input("x", [2])) } })));
    expect(model.irVersion).toBe(11n);
    expect(model.opsetImport.map(({ domain, version }) => [domain, version])).toEqual([
      ["", 23n],
      ["com.microsoft", 1n],
    ]);
  });

  it("declares inputs and outputs with their names, types and fixed shapes", () => {
    const x = input("x", [2, 3]);
    const result = lowered(graph({ outputs: { sum: add(x, x), sigmoid: sigmoid(x) } }));
    expect(result.input.map(({ name }) => name)).toEqual(["x"]);
    expect(result.output.map(({ name }) => name)).toEqual(["sum", "sigmoid"]);
    expect(result.output[0]?.type?.value).toMatchObject({
      case: "tensorType",
      value: { elemType: 1, shape: { dim: [{ value: { value: 2n } }, { value: { value: 3n } }] } },
    });
  });

  it("lets the operator that computes an output write it under its name", () => {
    const x = input("x", [2]);
    const inner = sigmoid(x);
    expect(lines(lowered(graph({ outputs: { inner, y: add(inner, x) } })))).toEqual(["Sigmoid(x) -> inner", "Add(inner,x) -> y"]);
  });

  it("copies an output only if it is an input, a constant or another output too", () => {
    const x = input("x", [1]);
    const y = sigmoid(x);
    const result = lines(lowered(graph({ outputs: { y, again: y, passed: x, fixed: constant([3], [1]) } })));
    expect(result).toEqual(["Sigmoid(x) -> y", "Identity(y) -> again", "Identity(x) -> passed", "Identity(c0) -> fixed"]);
  });

  it("leaves out nodes that no output needs", () => {
    const x = input("x", [2]);
    const whole = graph({ outputs: { y: sigmoid(x), unused: add(x, x) } });
    const y = whole.outputs["y"] as Value;
    expect(lines(lowered({ ...whole, outputs: { y } }))).toEqual(["Sigmoid(x) -> y"]);
  });

  it("gives every node its own name and shares equal small constants", () => {
    const x = input("x", [4]);
    const result = lowered(
      graph({
        outputs: { a: reshape(x, [2, 2]), b: reshape(sigmoid(x), [2, 2]), c: mul(x, constant([2], [1])), d: add(x, constant([2], [1])) },
      }),
    );
    const names = result.node.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(result.initializer.map(({ dims, dataType }) => [dims, dataType])).toEqual([
      [[2n], 7], // the shape of both reshapes
      [[1n], 1],
    ]);
  });

  it("keeps 0 and -0 apart among constants", () => {
    const x = input("x", [1]);
    expect(lowered(graph({ outputs: { a: add(x, constant([0], [1])), b: add(x, constant([-0], [1])) } })).initializer).toHaveLength(2);
  });

  it("keeps its own names clear of inputs and outputs that are called alike", () => {
    const x = input("c0", [1]);
    const y = add(x, constant([1], [1]));
    const z = sigmoid(y);
    const result = lowered(graph({ outputs: { [`v${y.id}`]: z } }));
    expect(lines(result)).toEqual([`Add(c0,c0_2) -> v${y.id}_2`, `Sigmoid(v${y.id}_2) -> v${y.id}`]);
  });

  it("writes attributes that are zero, since an absent one would mean its default", () => {
    const [a, b] = [input("a", [2, 2]), input("b", [2, 2])];
    const attributes = lowered(graph({ outputs: { y: gemm(a, b, { alpha: 0.5 }) } })).node[0]?.attribute ?? [];
    const transA = attributes.find(({ name }) => name === "transA");
    expect(transA).toMatchObject({ type: 2, i: 0n });
    expect(Object.hasOwn(transA ?? {}, "i")).toBe(true);
    expect(attributes.find(({ name }) => name === "alpha")).toMatchObject({ type: 1, f: 0.5 });
  });

  it("puts the sequence that is asked for before all outputs", () => {
    const result = lowered(graph({ outputs: { y: sigmoid(input("x", [1])) } }), { leadingSequence: "#s" });
    expect(result.output.map(({ name, type }) => [name, type?.value.case])).toEqual([
      ["#s", "sequenceType"],
      ["y", "tensorType"],
    ]);
  });

  it("refuses an output that has an input's name", () => {
    const x = input("x", [1]);
    expect(() => lowerToOnnx(graph({ outputs: { x: sigmoid(x) } }))).toThrow(
      /x: internal error: a graph's input and output have the same name/,
    );
  });
});
