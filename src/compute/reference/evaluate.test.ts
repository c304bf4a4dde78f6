import { describe, expect, it } from "vitest";
import { exp, graph, input } from "../graph/index.ts";
import { evaluateReference } from "./index.ts";

const small = graph({ outputs: { y: exp(input("x", [2])) } });

describe("evaluateReference", () => {
  it("computes in float64", () => {
    expect(evaluateReference(small, { x: { shape: [2], data: [0, 1] } })["y"]?.data).toEqual(Float64Array.of(1, Math.E));
  });

  it("gives an input out that is an output", () => {
    const x = input("x", [1]);
    expect(evaluateReference(graph({ outputs: { x } }), { x: { shape: [1], data: [4] } })["x"]?.data).toEqual(Float64Array.of(4));
  });

  it("names an input that is not fed", () => {
    expect(() => evaluateReference(small, {})).toThrow("input x is not fed");
  });

  it("names an input of another shape", () => {
    expect(() => evaluateReference(small, { x: { shape: [3], data: [1, 2, 3] } })).toThrow("input x must be [2], is [3] with 3 elements");
  });
});
